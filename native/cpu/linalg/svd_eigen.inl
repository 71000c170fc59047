// The body of every svd_<isa>.cc, which defines TERSOR_SVD_KERNEL and renames Eigen's namespace to one of its own:
// templates compiled for AVX must never be the copy that the linker keeps for machines without it.
#define EIGEN_NO_DEBUG
#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/SVD>

#include "cpu/linalg/svd_kernels.h"

namespace tersor::cpu {

// Bidiagonal divide and conquer (Gu & Eisenstat 1995). In double, rounded once at the end: singular vectors stay
// orthogonal and small singular values accurate to float precision however they are spread, which in float they are
// not; it costs about twice the time.
bool TERSOR_SVD_KERNEL(const float* a, int64_t rows, int64_t columns, float* u, float* s, float* vt) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int64_t rank = rows < columns ? rows : columns;
  const Eigen::MatrixXd input = Eigen::Map<const Matrix>(a, rows, columns).cast<double>();
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(input, Eigen::ComputeThinU | Eigen::ComputeThinV);
  if (svd.info() != Eigen::Success) return false;
  Eigen::Map<Matrix>(u, rows, rank) = svd.matrixU().cast<float>();
  Eigen::Map<Eigen::VectorXf>(s, rank) = svd.singularValues().cast<float>();
  Eigen::Map<Matrix>(vt, rank, columns) = svd.matrixV().transpose().cast<float>();
  return true;
}

}  // namespace tersor::cpu
