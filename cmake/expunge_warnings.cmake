# The warnings that our own code is held to; consumers never get them.
function(expunge_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           $<$<BOOL:${EXPUNGE_WARNINGS_AS_ERRORS}>:-Werror>)
endfunction()
