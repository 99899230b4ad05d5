// A stand-in for device memory: its pointers are scrambled, so that whoever dereferences one outside a primitive crashes.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <expunge/tensor/primitive.hpp>
#include <expunge/tensor/tensor.hpp>

namespace expunge::testing {

inline constexpr std::uintptr_t mask = 0xA5A5000000000000U;

template <class T>
struct masked_pointer {
  std::uintptr_t bits = mask;  // null

  masked_pointer() = default;
  explicit(false) masked_pointer(std::nullptr_t) {}
  explicit masked_pointer(T* p) : bits(reinterpret_cast<std::uintptr_t>(p) ^ mask) {}
  template <class U>
    requires std::is_same_v<const U, T>
  explicit(false) masked_pointer(const masked_pointer<U>& other) : bits(other.bits) {}
  friend masked_pointer operator+(masked_pointer p, index_t n) {
    return masked_pointer(reinterpret_cast<T*>(p.bits ^ mask) + n);
  }
  friend bool operator==(const masked_pointer&, const masked_pointer&) = default;
};

template <class T>
class masked_storage {
 public:
  using value_type = T;
  using pointer = masked_pointer<T>;
  using const_pointer = masked_pointer<const T>;
  template <class U>
  using rebind = masked_storage<U>;

  masked_storage() = default;
  explicit masked_storage(index_t n) : inner_(n) {}
  explicit operator bool() const { return static_cast<bool>(inner_); }
  [[nodiscard]] bool unique() const { return inner_.unique(); }
  [[nodiscard]] pointer data() const { return pointer(inner_.data()); }
  void upload(index_t offset, std::span<const T> from) const { inner_.upload(offset, from); }
  void download(index_t offset, std::span<T> to) const { inner_.download(offset, to); }

  template <class Primitive, class... A>
  static void run(const A&... a) {
    Primitive::host(unmasked(a)...);
  }

 private:
  template <class U>
  static U* unmasked(const masked_pointer<U>& p) {
    return reinterpret_cast<U*>(p.bits ^ mask);
  }
  template <class... U>
  static auto unmasked(const std::span<const arrays_of<masked_pointer<U>...>>& groups) {
    std::vector<arrays_of<U*...>> out;
    for (const auto& [first, size] : groups) out.push_back({std::apply([](const auto&... p) { return std::tuple(unmasked(p)...); }, first), size});
    return out;
  }
  template <class A>
  static const A& unmasked(const A& a) {
    return a;
  }

  host_storage<T> inner_;
};

static_assert(storage<masked_storage<float>> && storage<host_storage<double>>);

}  // namespace expunge::testing
