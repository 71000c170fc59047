#define Eigen Eigen_spectral_scalar
#define TERSOR_SPECTRAL_KERNEL spectral_scalar
#include "cpu/linalg/spectral_eigen.inl"
