# Cross compilation for 64-bit ARM on Linux; what is built runs under qemu-user.
#   cmake -S . -B build-aarch64 --toolchain cmake/aarch64.cmake -DTERSOR_TESTS=ON
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
