// One thing to measure: our operation, the peer's, and how much work it is. A family makes them from parameters.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "machine_limits.h"

namespace tersor::bench {

struct Benchmark {
  std::function<void()> ours;
  std::function<void()> peer;     // empty: none
  std::string peer_label;         // empty: the library of peer.h
  std::function<void()> compare;  // throws when the results differ; called after both ran; empty without a peer
  Arithmetic arithmetic = Arithmetic::f32;
  double operations = 0;   // a multiply-add is two; 0: not known beforehand, and then no limit applies
  double bytes = 0;        // read and written at least
  double random_rows = 0;  // read at random places, `row_bytes` each; these are then the limit
  int64_t row_bytes = 0;
};

// What stands after the family's name in a job such as "gemm_f32:m=16,n=1024,k=1024"; values are integers.
class Parameters {
 public:
  // Throws std::invalid_argument when `job` does not read like that.
  explicit Parameters(const std::string& job);

  const std::string& family() const { return family_; }
  // Throws std::invalid_argument when the job does not give it.
  int64_t operator[](const std::string& name) const;

 private:
  std::string job_, family_;
  std::map<std::string, int64_t> values_;
};

// Operands are in memory and the peer's weights in its own layout when a benchmark is returned.
Benchmark gemm_f32(const Parameters& shape);
Benchmark gemm_bf16(const Parameters& shape);
Benchmark gram(const Parameters& shape);
Benchmark gemm_int8(const Parameters& shape);
Benchmark gemm_int8_static(const Parameters& shape);
Benchmark gemm_int8_dynamic(const Parameters& shape);
Benchmark gemm_quantized(const Parameters& shape);
Benchmark gemm_codebook(const Parameters& shape);
Benchmark low_rank(const Parameters& shape);
Benchmark csr_f32(const Parameters& shape);
Benchmark csr_int8(const Parameters& shape);
Benchmark csr_transposed(const Parameters& shape);
Benchmark csr_sddmm(const Parameters& shape);
Benchmark nm_f32(const Parameters& shape);
Benchmark nm_int8(const Parameters& shape);
Benchmark block_f32(const Parameters& shape);
Benchmark block_int8(const Parameters& shape);
Benchmark svd_f32(const Parameters& shape);
Benchmark svd_randomized(const Parameters& shape);
Benchmark svd_batched(const Parameters& shape);
Benchmark conv2d(const Parameters& shape);
Benchmark gptq(const Parameters& shape);
Benchmark embedding_bag(const Parameters& shape);
Benchmark product_bag(const Parameters& shape);
Benchmark product_search(const Parameters& shape);
Benchmark attention(const Parameters& shape);
Benchmark search_int8(const Parameters& shape);
Benchmark histogram(const Parameters& shape);
Benchmark histogram_clip(const Parameters& shape);

// Throws std::invalid_argument for a family that does not exist.
Benchmark make_benchmark(const Parameters& parameters);

}  // namespace tersor::bench
