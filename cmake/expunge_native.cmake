# Flags for the best code on this host. g++ tunes -march=native for AVX-512 hosts it does not know as if for Zen 3, which
# costs a fifth of every matrix product; tuning for Skylake-X gives it back.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
check_cxx_compiler_flag(-march=native EXPUNGE_COMPILER_HAS_MARCH_NATIVE)
if(NOT EXPUNGE_COMPILER_HAS_MARCH_NATIVE)  # clang 14 on ARM
  add_compile_options(-mcpu=native)
  return()
endif()
set(CMAKE_REQUIRED_FLAGS -march=native)
check_cxx_source_compiles("#ifndef __AVX512F__\n#error\n#endif\nint main() {}" EXPUNGE_HOST_HAS_AVX512)
unset(CMAKE_REQUIRED_FLAGS)
add_compile_options(-march=native)
if(EXPUNGE_HOST_HAS_AVX512 AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-mtune=skylake-avx512)
endif()
