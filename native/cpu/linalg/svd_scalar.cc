#define Eigen Eigen_scalar
#define TERSOR_SVD_KERNEL svd_scalar
#include "cpu/linalg/svd.h"
#include "cpu/linalg/svd_eigen.inl"

#define TERSOR_TEXT_OF(number) #number
#define TERSOR_TEXT(number) TERSOR_TEXT_OF(number)

namespace tersor::cpu {

const char* eigen_version() {
  return TERSOR_TEXT(EIGEN_WORLD_VERSION) "." TERSOR_TEXT(EIGEN_MAJOR_VERSION) "." TERSOR_TEXT(EIGEN_MINOR_VERSION);
}

}  // namespace tersor::cpu
