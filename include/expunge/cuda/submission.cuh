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

/// Submits what was recorded, to this stream.
using submission = void (*)(const std::byte* recorded, cudaStream_t to);

[[nodiscard]] bool graphs_in_use();
/// Keeps the bytes of `parts`, one part behind the other, for `submit` to read until submit_recorded() returns.
void record(submission submit, std::initializer_list<std::span<const std::byte>> parts);
/// Hands the stream what was recorded; before whatever else is done with the stream, or gives memory back to the driver.
void submit_recorded();
/// Gives back what graphs take of the device.
void give_up_graphs(const char* why);

template <class T>
std::span<const std::byte> bytes_of(const T& x) {
  static_assert(std::is_trivially_copyable_v<T>, "what a kernel is given must be trivially copyable");
  return std::as_bytes(std::span(&x, 1));
}

/// The object whose bytes_of() lie at `from`, which goes on to what lies behind them.
template <class T>
T take(const std::byte*& from) {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), from, sizeof(T));
  from += sizeof(T);
  return std::bit_cast<T>(bytes);
}

/// Writes zeros where an object's bytes mean nothing, if the compiler can tell: else work that repeats may look new.
template <class T>
void clear_padding([[maybe_unused]] T& x) {
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&x);
#endif
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
  if (!graphs_in_use()) return f(stream(), arguments...);
  [&](auto... copies) {
    (clear_padding(copies), ...);
    record(&call_recorded<A...>, {bytes_of(f), bytes_of(copies)...});
  }(arguments...);
}

}  // namespace expunge::cuda::detail
