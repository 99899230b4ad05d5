// The storage concept: where a tensor's elements live, and how primitive operations reach them.
#pragma once

#include <concepts>
#include <span>
#include <tuple>

#include "expunge/core/shape.hpp"

namespace expunge {

/// Memory of one device. Nothing above tensor/ dereferences its pointers.
template <class S>
concept storage =
    std::default_initializable<S> && std::copyable<S> &&
    requires(const S& s, index_t n, std::span<typename S::value_type> to, std::span<const typename S::value_type> from) {
      typename S::pointer;                              // may be opaque; only `pointer + index_t` is used above the kernels
      typename S::const_pointer;                        // made from pointer or nullptr
      typename S::template rebind<int>;                 // the same device for another element type (token ids, offsets)
      { S(n) };                                         // uninitialised memory for n elements
      { static_cast<bool>(s) } -> std::same_as<bool>;   // false for the default-constructed, absent storage
      { s.unique() } -> std::same_as<bool>;             // may this handle be written in place?
      { s.data() } -> std::same_as<typename S::pointer>;
      s.upload(n, from);                                // host to device, from an element offset on
      s.download(n, to);                                // device to host
    };                                                  // and `S::template run<Primitive>(arguments...)`, see primitive.hpp

/// A storage whose products convert their operands keeps what they made of them, of all elements at once, until those change.
template <class S>
concept converting_storage = requires(const S& s, index_t offset) {
  s.operand(offset);                              // what products read from an element offset on
  { s.operand_alone() } -> std::same_as<S>;       // what is kept without the elements, where it is: data() is then null
  s.drop_operand();                               // what is kept; called before elements are written
  s.operand_to_write(offset);                     // null where nothing is kept
  s.begin_operand();                              // makes room for what is kept, which the caller writes with the elements
  { S::operand_of(offset) } -> std::same_as<S>;   // no elements, and room for what would be kept of so many
};

/// Memory beside a processor of its own, many times as large as its cache.
template <class S>
concept device_storage = requires { requires S::on_device; };

/// Where a device's kernel puts a result: added to what is there, or written where nothing is yet. Null: not wanted.
template <class T>
struct destination {
  T* at = nullptr;
  bool empty = false;
};

/// Arrays of `size` elements each: one of the groups of an operation over many.
template <class... Pointer>
struct arrays_of {
  std::tuple<Pointer...> first{};
  index_t size = 0;
};

/// A storage that can give back all but the first n elements of memory with one handle; false where it does not.
template <class S>
concept shrinking_storage = requires(const S& s, index_t n) {
  { s.shrink(n) } -> std::same_as<bool>;
};

}  // namespace expunge
