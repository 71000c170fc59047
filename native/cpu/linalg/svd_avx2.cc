#define Eigen Eigen_avx2
#define TERSOR_SVD_KERNEL svd_avx2
#include "cpu/linalg/svd_eigen.inl"
