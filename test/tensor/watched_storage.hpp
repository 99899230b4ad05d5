// Host storage that stands in for a device: its memory runs out where a test wants it to, downloads, for which one would wait for a
// device, are counted; what products make of their operands is compared with what there is now; and what is submitted is written down.
#pragma once

#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <expunge/tensor/primitive.hpp>
#include <expunge/tensor/tensor.hpp>

namespace expunge::testing {

inline index_t allowance = std::numeric_limits<index_t>::max();  // tensors that may still be made
inline index_t downloads = 0;                                    // so far
inline index_t conversions = 0, stale_operands = 0;
inline std::vector<std::pair<std::type_index, std::vector<index_t>>> submitted;  // primitives with their sizes

template <class T>
class watched_storage : public host_storage<T> {
 public:
  template <class U>
  using rebind = watched_storage<U>;

  watched_storage() = default;
  explicit watched_storage(index_t n) : host_storage<T>(allowed(n)), kept_(std::make_shared<std::vector<T>>()), size_(static_cast<std::size_t>(n)) {}
  void download(index_t offset, std::span<T> to) const {
    ++downloads;
    host_storage<T>::download(offset, to);
  }
  const T* operand(index_t offset) const {
    if (kept_ == nullptr) return nullptr;
    const T* now = data();
    if (kept_->empty()) ++conversions, kept_->assign(now, now + size_);
    else if (now != nullptr) stale_operands += std::memcmp(kept_->data(), now, size_ * sizeof(T)) != 0 ? 1 : 0;
    return kept_->data() + offset;
  }
  watched_storage operand_alone() const {
    if (kept_->empty()) return *this;
    watched_storage made;
    made.kept_ = std::make_shared<std::vector<T>>(*kept_);
    made.size_ = size_;
    return made;
  }
  bool shrink(index_t n) const {
    drop_operand();
    size_ = static_cast<std::size_t>(n);
    return host_storage<T>::shrink(n);
  }
  static watched_storage operand_of(index_t n) {
    watched_storage made;
    made.size_ = static_cast<std::size_t>(allowed(n));
    made.kept_ = std::make_shared<std::vector<T>>(made.size_);
    return made;
  }
  void begin_operand() const { kept_->resize(size_); }
  T* operand_to_write(index_t offset) const { return kept_->empty() ? nullptr : kept_->data() + offset; }
  void drop_operand() const {
    if (kept_ != nullptr) kept_->clear();
  }
  explicit operator bool() const { return kept_ != nullptr; }
  T* data() const { return host_storage<T>::operator bool() ? host_storage<T>::data() : nullptr; }
  template <class Primitive, class... A>
  static void run(const A&... a) {
    submitted.emplace_back(typeid(Primitive), std::vector<index_t>{});
    const auto write_down = [](const auto& x) {
      if constexpr (std::is_integral_v<std::remove_cvref_t<decltype(x)>>) submitted.back().second.push_back(static_cast<index_t>(x));
    };
    (write_down(a), ...);
    host_storage<T>::template run<Primitive>(a...);
  }

 private:
  static index_t allowed(index_t n) {
    if (allowance == 0) throw out_of_memory("no room for " + std::to_string(n) + " elements");
    --allowance;
    return n;
  }

  std::shared_ptr<std::vector<T>> kept_;
  mutable std::size_t size_ = 0;  // of the one handle that shrinks it
};

static_assert(storage<watched_storage<float>> && converting_storage<watched_storage<float>>);

}  // namespace expunge::testing
