#define Eigen Eigen_spectral_avx512
#define TERSOR_SPECTRAL_KERNEL spectral_avx512
#include "cpu/linalg/spectral_eigen.inl"
