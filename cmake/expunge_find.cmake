# expunge_find(NAME VERSION): find_package for VERSION or anything newer, which packages of headers themselves often refuse where
# the major version is another one. What is not found is added to the list expunge_missing.
macro(expunge_find name version)
  find_package(${name} CONFIG QUIET)
  if(NOT ${name}_FOUND OR ${name}_VERSION VERSION_LESS ${version})
    list(APPEND expunge_missing "${name} ${version}")
  endif()
endmacro()

# expunge_find_module(PREFIX MODULE): the same by pkg-config; defines the target PkgConfig::PREFIX.
macro(expunge_find_module prefix module)
  pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
  if(NOT ${prefix}_FOUND)
    list(APPEND expunge_missing "${module}")
  endif()
endmacro()

# Everything that users of expunge compile and link with. Used by the build and by the installed package.
macro(expunge_find_dependencies)
  set(expunge_missing "")
  foreach(tool Threads PkgConfig)
    find_package(${tool} QUIET)
    if(NOT ${tool}_FOUND)
      list(APPEND expunge_missing "${tool}")
    endif()
  endforeach()
  expunge_find(Eigen3 3.4)
  expunge_find(xtensor 0.24)
  expunge_find(xsimd 8.1)
  expunge_find_module(JANSSON jansson>=2.14)
  expunge_find_module(PCRE2 libpcre2-8)
  expunge_find_module(UTF8PROC libutf8proc)
  list(JOIN expunge_missing ", " expunge_missing)
endmacro()
