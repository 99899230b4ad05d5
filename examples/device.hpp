// --device cpu|cuda[:N]: generic code runs on tensors of the device that was asked for.
#pragma once

#include <expunge/core/error.hpp>
#include <expunge/tensor/tensor.hpp>
#ifdef EXPUNGE_WITH_CUDA
#include <expunge/tensor/cuda_storage.hpp>
#endif

#include <charconv>
#include <string>

namespace program {

using host_tensor = expunge::tensor<float>;
#ifdef EXPUNGE_WITH_CUDA
using cuda_tensor = expunge::tensor<float, expunge::cuda_storage<float>>;
#endif

inline constexpr const char* device_help = "cpu, cuda or cuda:N (device N)";

/// Calls f.operator()<X>() with the tensor type of `device`. Throws expunge::error for any other name, where the program was built
/// without CUDA, and where there is no such device.
template <class F>
auto on_device(const std::string& device, const F& f) {
  if (device == "cpu") return f.template operator()<host_tensor>();
  const std::string number = device == "cuda" ? "0" : device.starts_with("cuda:") ? device.substr(5) : "";
  int n = 0;
  const auto [end, failure] = std::from_chars(number.data(), number.data() + number.size(), n);
  expunge::require(failure == std::errc{} && end == number.data() + number.size() && n >= 0, "--device '", device, "': expected ", device_help);
#ifdef EXPUNGE_WITH_CUDA
  expunge::cuda::select_device(n);
  return f.template operator()<cuda_tensor>();
#else
  expunge::fail("--device ", device, ": this program was built without CUDA; build it with cmake -DEXPUNGE_CUDA=ON (docs/cuda.md)");
#endif
}

}  // namespace program
