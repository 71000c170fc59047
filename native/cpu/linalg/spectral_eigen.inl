// The body of every spectral_<isa>.cc, which defines TERSOR_SPECTRAL_KERNEL and renames Eigen's namespace as for the SVD.
#define EIGEN_NO_DEBUG
#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include "cpu/linalg/spectral_kernels.h"

namespace tersor::cpu {
namespace {

using RowMajorF64 = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowMajorF32 = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

bool symmetric_eigen(double* a, int64_t n, double* values) {
  Eigen::Map<RowMajorF64> matrix(a, n, n);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(Eigen::MatrixXd{matrix});
  if (solver.info() != Eigen::Success) return false;
  matrix = solver.eigenvectors().rowwise().reverse();
  Eigen::Map<Eigen::VectorXd>(values, n) = solver.eigenvalues().reverse();
  return true;
}

void orthonormal(const float* a, int64_t rows, int64_t columns, float* q) {
  const Eigen::MatrixXd input = Eigen::Map<const RowMajorF32>(a, rows, columns).cast<double>();
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(input);
  const Eigen::MatrixXd thin = qr.householderQ() * Eigen::MatrixXd::Identity(rows, columns);
  Eigen::Map<RowMajorF32>(q, rows, columns) = thin.cast<float>();
}

constexpr SpectralKernels kSpectral = {symmetric_eigen, orthonormal};

}  // namespace

const SpectralKernels& TERSOR_SPECTRAL_KERNEL() { return kSpectral; }

}  // namespace tersor::cpu
