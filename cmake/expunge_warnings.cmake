# The warnings that our own code is held to; consumers never get them. g++ 12 reports false uninitialised values inside Eigen and
# its own AVX-512 headers, and false overlaps inside std::string (GCC bug 105651). clang 19 and newer reads tensor/xtensor.hpp's xtensor before
# 0.26 with an option alone.
function(expunge_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized;-Wno-restrict>
                                           $<$<BOOL:${EXPUNGE_WARNINGS_AS_ERRORS}>:-Werror>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 19 AND xtensor_VERSION VERSION_LESS 0.26)
    target_compile_options(${target} PRIVATE -fno-relaxed-template-template-args -Wno-deprecated-no-relaxed-template-template-args)
  endif()
endfunction()
