#define Eigen Eigen_spectral_avx2
#define TERSOR_SPECTRAL_KERNEL spectral_avx2
#include "cpu/linalg/spectral_eigen.inl"
