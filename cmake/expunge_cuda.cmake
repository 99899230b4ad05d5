# Target expunge::cuda: the CUDA kernels, compiled once in the build of whoever uses them. EXPUNGE_INCLUDE_DIR holds expunge/cuda/*.cu.
# Set CMAKE_CUDA_ARCHITECTURES for other devices than A100 and H100; nvcc must be on PATH (or CMAKE_CUDA_COMPILER name it).
if(TARGET expunge_cuda)  # found before
  return()
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
foreach(architecture ${CMAKE_CUDA_ARCHITECTURES})
  if(architecture MATCHES "^[0-9]+" AND CMAKE_MATCH_0 LESS 80)
    message(FATAL_ERROR "expunge::cuda needs compute capability 8.0 or newer, and CMAKE_CUDA_ARCHITECTURES is '${CMAKE_CUDA_ARCHITECTURES}' "
                        "(CMake's own default where a project enables CUDA): set it, for instance to 80;90")
  endif()
endforeach()
enable_language(CUDA)
find_package(CUDAToolkit 12.4 REQUIRED)

file(GLOB expunge_cuda_sources CONFIGURE_DEPENDS ${EXPUNGE_INCLUDE_DIR}/expunge/cuda/*.cu)
add_library(expunge_cuda STATIC ${expunge_cuda_sources})
add_library(expunge::cuda ALIAS expunge_cuda)
set_target_properties(expunge_cuda PROPERTIES POSITION_INDEPENDENT_CODE ON)
# CMake 3.25 ignores CUDA_STANDARD 20 for nvcc. Neither Eigen nor xtensor comes near nvcc: only our own include folder does.
target_compile_options(expunge_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>)
target_compile_definitions(expunge_cuda PRIVATE EXPUNGE_CUDA_ARCHITECTURES="$<JOIN:${CMAKE_CUDA_ARCHITECTURES},$<COMMA> >")
target_include_directories(expunge_cuda PRIVATE ${EXPUNGE_INCLUDE_DIR})
target_link_libraries(expunge_cuda INTERFACE expunge::expunge PRIVATE CUDA::cudart_static CUDA::cublasLt)

# expunge_cuda_sources(TARGET SOURCE.cu...): compiles kernels for functions of one's own (EXPUNGE_CUDA_UNARY and its like) into a target that
# links expunge::cuda. They are a library of their own since the target's Eigen must not come near nvcc; their includes are relative.
function(expunge_cuda_sources target)
  add_library(${target}_cuda_sources OBJECT ${ARGN})
  set_target_properties(${target}_cuda_sources PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target}_cuda_sources PRIVATE -std=c++20)
  target_include_directories(${target}_cuda_sources PRIVATE $<TARGET_PROPERTY:expunge_cuda,INCLUDE_DIRECTORIES>)
  target_link_libraries(${target} PRIVATE ${target}_cuda_sources)
endfunction()
