// exp of vectors, as softmax and attention need it.
#pragma once

#include <cstdint>

namespace tersor::cpu {
namespace {

// exp(x) for x <= 0 within 2 units in the last place; 0 below -87.33, where results would be subnormal; NaN stays NaN.
// Reduction to r = x - n ln 2, |r| <= ln 2 / 2, then the polynomial of Cephes expf (Moshier).
template <typename Vector>
typename Vector::Register exp_of_nonpositive_vector(typename Vector::Register x) {
  using Register = typename Vector::Register;
  // Unsigned: additions to exponents may wrap.
  typedef uint32_t Words __attribute__((vector_size(sizeof(Register))));
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves round-half-even(v) in the low bits
  const Register shifted = Vector::multiply_add(x, Vector::all(1.44269504f), Vector::all(kRound));
  const Register n = shifted - kRound;
  Register r = Vector::multiply_add(n, Vector::all(-0.693359375f), x);
  r = Vector::multiply_add(n, Vector::all(2.12194440e-4f), r);
  Register p = Vector::all(1.9875691500e-4f);
  p = Vector::multiply_add(p, r, Vector::all(1.3981999507e-3f));
  p = Vector::multiply_add(p, r, Vector::all(8.3334519073e-3f));
  p = Vector::multiply_add(p, r, Vector::all(4.1665795894e-2f));
  p = Vector::multiply_add(p, r, Vector::all(1.6666665459e-1f));
  p = Vector::multiply_add(p, r, Vector::all(5.0000001201e-1f));
  p = Vector::multiply_add(p, r * r, r) + 1.0f;
  // The low bits of `shifted` are n; moved to the exponent's place they scale p by 2^n.
  const Register scaled = (Register)((Words)p + ((Words)shifted << 23));
  // An infinite x makes r NaN, and is caught here with all other small ones.
  return x < Vector::all(-87.33f) ? Vector::all(0.0f) : scaled;
}

}  // namespace
}  // namespace tersor::cpu
