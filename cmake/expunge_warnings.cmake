# The warnings that our own code is held to; consumers never get them. g++ 12 reports false uninitialised values inside Eigen and
# its own AVX-512 headers, and false overlaps inside std::string (GCC bug 105651).
function(expunge_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized;-Wno-restrict>
                                           $<$<BOOL:${EXPUNGE_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
