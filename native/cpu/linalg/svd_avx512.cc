#define Eigen Eigen_avx512
#define TERSOR_SVD_KERNEL svd_avx512
#include "cpu/linalg/svd_eigen.inl"
