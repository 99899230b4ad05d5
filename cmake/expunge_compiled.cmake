# Target expunge::compiled: expunge::expunge with the host kernels compiled once in the build of whoever uses it, and not in every
# program. EXPUNGE_INCLUDE_DIR holds expunge/compiled/*.cpp. Kernels run at the speed of this target's flags: give -march and the like
# to the whole build (CMAKE_CXX_FLAGS, add_compile_options) before it.
if(TARGET expunge_compiled)  # found before
  return()
endif()
file(GLOB expunge_compiled_sources CONFIGURE_DEPENDS ${EXPUNGE_INCLUDE_DIR}/expunge/compiled/*.cpp)
add_library(expunge_compiled STATIC EXCLUDE_FROM_ALL ${expunge_compiled_sources})
add_library(expunge::compiled ALIAS expunge_compiled)
set_target_properties(expunge_compiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_compile_definitions(expunge_compiled INTERFACE EXPUNGE_COMPILED)
target_link_libraries(expunge_compiled PUBLIC expunge::expunge)
target_compile_options(expunge_compiled PRIVATE $<$<CONFIG:>:-O3>)  # no build type is -O0, a thousand times slower
get_directory_property(expunge_options COMPILE_OPTIONS)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND NOT "${CMAKE_CXX_FLAGS} ${expunge_options}" MATCHES "-march=")
  message(STATUS "expunge::compiled: no -march in CMAKE_CXX_FLAGS, so kernels are for every x86-64, 6 to 10 times slower than -march=native on a new one")
endif()
