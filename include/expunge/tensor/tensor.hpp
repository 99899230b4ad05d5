// A dense row-major tensor: a cheap handle to shared storage. Arithmetic lives in math.hpp, differentiation in autodiff/.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/core/shape.hpp"
#include "expunge/tensor/host_storage.hpp"
#include "expunge/tensor/storage.hpp"

namespace expunge {

/// Copies share elements; clone() does not. The default-constructed tensor is absent: it has no elements, and where a
/// tangent or cotangent is expected it means a structural zero, whose products are never computed.
template <class T, storage Storage = host_storage<T>>
class tensor {
 public:
  static_assert(std::is_same_v<T, typename Storage::value_type>, "tensor<T, Storage>: Storage must hold elements of type T");
  using value_type = T;
  using storage_type = Storage;
  using pointer = typename Storage::pointer;
  using const_pointer = typename Storage::const_pointer;
  /// Token ids, offsets and labels on the same device.
  using index_tensor = tensor<std::int32_t, typename Storage::template rebind<std::int32_t>>;

  tensor() = default;

  /// Uninitialised elements. Throws expunge::out_of_memory, naming the shape.
  explicit tensor(const shape& extents)
      : storage_(with_purpose([&] { return Storage(extents.size()); }, "tensor ", extents)), shape_(extents) {}

  /// Copies `values` (row-major). Throws expunge::error where their number does not fit.
  tensor(const shape& extents, std::span<const T> values) : tensor(extents) {
    require(static_cast<index_t>(values.size()) == size(), "tensor: ", values.size(), " values for shape ", extents);
    storage_.upload(0, values);
  }
  tensor(const shape& extents, const std::vector<T>& values) : tensor(extents, std::span<const T>(values)) {}

  /// A handle to `elements` (shape.size() of them), which must outlive every copy of the handle. No
  /// operation takes its memory for a result. Cost O(1).
  static tensor view(const shape& extents, Storage elements) {
    tensor made;
    made.storage_ = std::move(elements);
    made.shape_ = extents;
    return made;
  }

  [[nodiscard]] bool absent() const { return !storage_; }

  [[nodiscard]] const shape& extents() const { return shape_; }
  [[nodiscard]] index_t size() const { return absent() ? 0 : shape_.size(); }
  [[nodiscard]] index_t rows() const { return shape_.rows(); }
  [[nodiscard]] index_t cols() const { return shape_.cols(); }

  /// Null for an absent tensor, and for an operand alone.
  [[nodiscard]] const_pointer data() const {
    if constexpr (converting_storage<Storage>)
      if (storage_.data() == nullptr) return nullptr;
    return absent() ? const_pointer{nullptr} : const_pointer{storage_.data() + offset_};
  }
  /// For one operation that writes: what products keep of the elements (converting_storage) is dropped.
  [[nodiscard]] pointer mutable_data() {
    if (absent()) return nullptr;
    drop_operand();
    return storage_.data() + offset_;
  }

  /// What matrix products read: data(), or what the storage makes of it, for as long as this handle stays as it is.
  [[nodiscard]] auto operand() const {
    if constexpr (converting_storage<Storage>) return storage_.operand(offset_);
    else return data();
  }
  /// A handle for products, which does without the elements where a product has converted them. Nobody writes it.
  [[nodiscard]] tensor operand_alone() const {
    tensor made = *this;
    if constexpr (converting_storage<Storage>)
      if (!absent()) made.storage_ = storage_.operand_alone();
    return made;
  }

  /// Is it what products read, without elements?
  [[nodiscard]] bool is_operand_alone() const {
    if constexpr (converting_storage<Storage>) return !absent() && data() == nullptr;
    else return false;
  }
  /// What products keep of the elements, or null; the elements where they convert nothing.
  [[nodiscard]] auto kept_operand() const {
    if constexpr (converting_storage<Storage>) {
      const auto* const kept = storage_.operand_to_write(offset_);
      return kept;
    } else {
      return data();
    }
  }

  /// Room for what one operation makes for products alone, and where it writes that: operand_to_write(). Elsewhere plain memory.
  static tensor for_products(const shape& extents) {
    if constexpr (converting_storage<Storage>) return view(extents, with_purpose([&] { return Storage::operand_of(extents.size()); }, "tensor ", extents));
    else return tensor(extents);
  }
  /// Where products convert operands: what they keep of the elements, or null. An operation that changes the elements writes it too.
  [[nodiscard]] auto operand_to_write() {
    if constexpr (converting_storage<Storage>) return storage_.operand_to_write(offset_);
    else return mutable_data();
  }

  /// New elements that one operation writes, and with them what products keep of them: mutable_data() comes first, then operand_to_write().
  void begin_operand() const {
    if constexpr (converting_storage<Storage>) storage_.begin_operand();
  }

  /// Drops what products keep beside the elements, which is made again where it is asked for.
  void drop_operand() const {
    if constexpr (converting_storage<Storage>)
      if (!is_operand_alone()) storage_.drop_operand();
  }

  /// May this handle be written in place without anybody else noticing?
  [[nodiscard]] bool unique() const { return storage_.unique(); }

  /// The same elements under another shape of the same size.
  [[nodiscard]] tensor reshaped(const shape& extents) const {
    require(extents.size() == size(), "tensor: cannot view shape ", shape_, " as ", extents);
    tensor made = *this;
    made.shape_ = extents;
    return made;
  }

  /// Rows [begin, end) along the first axis, sharing the elements.
  [[nodiscard]] tensor slice(index_t begin, index_t end) const {
    require(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0], "tensor: rows ", begin, " to ", end,
            " of shape ", shape_);
    tensor made = *this;
    const index_t row = shape_[0] == 0 ? 0 : size() / shape_[0];
    made.offset_ += begin * row;
    made.shape_ = shape_.with_first(end - begin);
    return made;
  }

  /// Gives back the memory behind the last element, which nobody else has: call only where unique(). False where the storage does not.
  bool release_rest() const
    requires shrinking_storage<Storage>
  {
    return storage_.shrink(offset_ + size());
  }

  void upload(std::span<const T> values) const {
    require(static_cast<index_t>(values.size()) == size(), "tensor: ", values.size(), " values for shape ", shape_);
    if (!absent()) storage_.upload(offset_, values);
  }
  void download(std::span<T> values) const {
    require(static_cast<index_t>(values.size()) == size(), "tensor: ", values.size(), " places for shape ", shape_);
    if (!absent()) storage_.download(offset_, values);
  }
  [[nodiscard]] std::vector<T> to_vector() const {
    std::vector<T> values(static_cast<std::size_t>(size()));
    download(values);
    return values;
  }

  /// Runs a primitive on this tensor's device.
  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    Storage::template run<Primitive>(arguments...);
  }

 private:
  Storage storage_;
  index_t offset_ = 0;
  shape shape_;
};

template <class X>
inline constexpr bool is_tensor = false;
template <class T, class S>
inline constexpr bool is_tensor<tensor<T, S>> = true;

}  // namespace expunge
