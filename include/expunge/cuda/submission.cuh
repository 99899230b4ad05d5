// Work for the stream: submitted at once or, where graphs are used, recorded as bytes, which show what repeats (graphs.cu).
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <span>
#include <tuple>
#include <type_traits>

namespace expunge::cuda::detail {

/// The stream of the device in use, which becomes the calling thread's current device.
cudaStream_t stream();

/// Submits what record() was given.
using resubmission = void (*)(const std::byte* recorded, cudaStream_t to);

[[nodiscard]] bool graphs_in_use();
/// Keeps the bytes of `parts`, one part behind the other, for `submit` to read until submit_recorded() returns.
void record(resubmission submit, std::initializer_list<std::span<const std::byte>> parts);
/// Hands the stream what was recorded; before whatever else is done with the stream, or gives memory back to the driver.
void submit_recorded();

/// The bytes of an object; an empty one has none that mean anything.
template <class T>
std::span<const std::byte> bytes_of(const T& x) {
  if constexpr (std::is_empty_v<T>) return {};
  else return std::as_bytes(std::span(&x, 1));
}

/// The object whose bytes_of() lie at `from`, which goes on to what lies behind them.
template <class T>
T take(const std::byte*& from) {
  static_assert(std::is_trivially_copyable_v<T>, "what a kernel is given is copied byte by byte");
  std::array<std::byte, sizeof(T)> bytes{};
  if constexpr (!std::is_empty_v<T>) {
    std::memcpy(bytes.data(), from, sizeof(T));
    from += sizeof(T);
  }
  return std::bit_cast<T>(bytes);
}

template <class... A>
void call_recorded(const std::byte* recorded, cudaStream_t to) {
  const auto f = take<void (*)(cudaStream_t, A...)>(recorded);
  const std::tuple<A...> arguments{take<A>(recorded)...};  // in braces, so in order
  std::apply([&](const A&... a) { f(to, a...); }, arguments);
}

/// Calls f(stream, arguments...), which submits work: now or, where graphs are used, later. Work is the same where these bytes are.
template <class... A>
void submit(void (*f)(cudaStream_t, A...), const std::type_identity_t<A>&... arguments) {
  if (graphs_in_use()) record(&call_recorded<A...>, {bytes_of(f), bytes_of(arguments)...});
  else f(stream(), arguments...);
}

}  // namespace expunge::cuda::detail
