// --device cpu|cuda[:N], --products float|bf16 and --graphs: generic code runs on tensors of the device and the products that were asked for.
#pragma once

#include <expunge/core/error.hpp>
#include <expunge/tensor/bfloat16_host_storage.hpp>
#include <expunge/tensor/tensor.hpp>
#ifdef EXPUNGE_WITH_CUDA
#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#endif

#include <charconv>
#include <concepts>
#include <iostream>
#include <string>

namespace program {

using host_tensor = expunge::tensor<float>;
using rounding_host_tensor = expunge::tensor<float, expunge::bfloat16_host_storage<float>>;
#ifdef EXPUNGE_WITH_CUDA
using cuda_tensor = expunge::tensor<float, expunge::cuda_storage<float>>;
using rounding_cuda_tensor = expunge::tensor<float, expunge::bfloat16_cuda_storage<float>>;
#else
struct cuda_tensor;
struct rounding_cuda_tensor;
#endif

template <class X>
inline constexpr bool on_cuda = std::same_as<X, cuda_tensor> || std::same_as<X, rounding_cuda_tensor>;

inline constexpr const char* device_help = "cpu, cuda or cuda:N (device N)";
inline constexpr const char* graphs_help = "on a GPU: submit steps that repeat as CUDA graphs";
inline constexpr const char* products_help = "operands of matrix products: float, or rounded to bf16 with sums in float";

/// Calls f.operator()<X>() with Host, or Cuda where `device` is one. Throws expunge::error for any other name, where the program was
/// built without CUDA, and where there is no such device.
template <class Host, class Cuda, class F>
auto choose_device(const std::string& device, const F& f) {
  if (device == "cpu") return f.template operator()<Host>();
  const std::string number = device == "cuda" ? "0" : device.starts_with("cuda:") ? device.substr(5) : "";
  int n = 0;
  const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), n);
  expunge::require(failure == std::errc{} && end == number.data() + number.size() && n >= 0, "--device '", device, "': expected ", device_help);
#ifdef EXPUNGE_WITH_CUDA
  expunge::cuda::select_device(n);
  return f.template operator()<Cuda>();
#else
  expunge::fail("--device ", device, ": this program was built without CUDA; build it with cmake -DEXPUNGE_CUDA=ON (docs/cuda.md)");
#endif
}

/// The tensor type of the device, with products of float.
template <class F>
auto on_device(const std::string& device, const F& f) {
  return choose_device<host_tensor, cuda_tensor>(device, f);
}

struct device_options {
  std::string device = "cpu", products = "float";
  bool graphs = false;
};

/// The same, with the products that were asked for (float or bf16) and with CUDA graphs, whose share of the work goes to the standard error.
template <class F>
void on_device(const device_options& o, const F& f) {
  expunge::require(!o.graphs || o.device != "cpu", "--graphs: only a GPU has them; add --device cuda");
  const auto run = [&]<class X>() {
#ifdef EXPUNGE_WITH_CUDA
    if constexpr (on_cuda<X>) expunge::cuda::use_graphs(o.graphs);
#endif
    f.template operator()<X>();
#ifdef EXPUNGE_WITH_CUDA
    const auto [alone, in_graphs, given_up] = expunge::cuda::describe_graphs();
    if (alone + in_graphs > 0) std::cerr << "in CUDA graphs: " << in_graphs << " of " << alone + in_graphs << " operations\n";
    if (!given_up.empty()) std::cerr << "CUDA graphs were given up: " << given_up << '\n';
#endif
  };
  if (o.products == "float") return on_device(o.device, run);
  expunge::require(o.products == "bf16", "--products '", o.products, "': expected float or bf16");
  choose_device<rounding_host_tensor, rounding_cuda_tensor>(o.device, run);
}

}  // namespace program
