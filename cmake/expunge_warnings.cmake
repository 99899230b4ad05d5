# The warnings that our own code is held to; consumers never get them. g++ reports false uninitialised values inside Eigen and
# the compiler's own AVX-512 headers, even as system headers.
function(expunge_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>
                                           $<$<BOOL:${EXPUNGE_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
