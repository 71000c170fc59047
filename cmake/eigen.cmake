# Sets TERSOR_EIGEN_INCLUDE and TERSOR_EIGEN_VERSION: an installed Eigen, else a pinned download when allowed.
find_package(Eigen3 3.4 NO_MODULE QUIET)
if(TARGET Eigen3::Eigen)
  get_target_property(TERSOR_EIGEN_INCLUDE Eigen3::Eigen INTERFACE_INCLUDE_DIRECTORIES)
  set(TERSOR_EIGEN_VERSION ${Eigen3_VERSION})
elseif(TERSOR_FETCH_EIGEN)
  include(FetchContent)
  FetchContent_Declare(eigen
    URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
    URL_HASH SHA256=8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72
    SOURCE_SUBDIR headers-only)  # no such folder: Eigen's own build is not wanted
  FetchContent_MakeAvailable(eigen)
  set(TERSOR_EIGEN_INCLUDE ${eigen_SOURCE_DIR})
  set(TERSOR_EIGEN_VERSION 3.4.0)
elseif(APPLE)
  message(FATAL_ERROR "Eigen 3.4 not found. Type: brew install eigen")
else()
  message(FATAL_ERROR "Eigen 3.4 not found. Type: apt-get install libeigen3-dev")
endif()
