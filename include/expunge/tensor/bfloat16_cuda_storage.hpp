// Storage on a CUDA device whose matrix products run on tensor cores in bfloat16.
#pragma once

#include <concepts>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/tensor/cuda_storage.hpp"

namespace expunge {

/// As cuda_storage, and elements are float as there: weights, gradients and moments keep all their bits. Products of matrices, those
/// inside attention too, round their operands to bfloat16 (8 bits of mantissa) and sum in float. The first product that reads a tensor
/// rounds all its elements; they are kept for the next ones until the tensor is written or gone. Products with a vector stay in float:
/// there tensor cores have nothing to give, and sums over examples are such products. So does attention whose heads tensor cores do
/// not take.
template <class T>
class bfloat16_cuda_storage : public cuda_storage<T> {
  static_assert(std::same_as<T, float>, "bfloat16_cuda_storage: products are of float; use cuda_storage for other numbers");

 public:
  template <class U>
  using rebind = std::conditional_t<std::same_as<U, float>, bfloat16_cuda_storage<float>, cuda_storage<U>>;

  bfloat16_cuda_storage() = default;
  explicit bfloat16_cuda_storage(index_t size) : cuda_storage<T>(size), size_(size), kept_(std::make_shared<kept>()) {}

  /// An operand of a product: the elements from `offset` on.
  struct operand_type {
    const bfloat16_cuda_storage& of;
    index_t offset;

    /// Null where there is nothing but what was rounded, or nothing at all.
    [[nodiscard]] const T* whole() const { return of.data() == nullptr ? nullptr : of.data() + offset; }
    [[nodiscard]] const cuda::bfloat16* rounded() const { return of ? of.rounded().data() + offset : nullptr; }
  };
  [[nodiscard]] operand_type operand(index_t offset) const { return {*this, offset}; }

  /// Where a product has rounded them, without the elements themselves: half their memory.
  [[nodiscard]] bfloat16_cuda_storage operand_alone() const {
    const std::lock_guard lock(kept_->making);
    return kept_->elements ? alone(size_, kept_->elements) : *this;
  }

  [[nodiscard]] static bfloat16_cuda_storage operand_of(index_t size) { return alone(size, room_for(size)); }

  void begin_operand() const {
    const std::lock_guard lock(kept_->making);
    kept_->elements = room_for(size_);
  }

  [[nodiscard]] cuda::bfloat16* operand_to_write(index_t offset) const {
    const std::lock_guard lock(kept_->making);
    return kept_->elements ? kept_->elements.data() + offset : nullptr;
  }

  void drop_operand() const {
    if (kept_ == nullptr) return;
    const std::lock_guard lock(kept_->making);
    kept_->elements = {};
  }

  bool shrink(index_t size) const {
    const std::lock_guard lock(kept_->making);
    if (!cuda_storage<T>::shrink(size)) return false;
    if (kept_->elements.unique()) kept_->elements.shrink(size);
    size_ = size;
    return true;
  }

  explicit operator bool() const { return kept_ != nullptr; }
  void upload(index_t offset, std::span<const T> from) const {
    drop_operand();
    cuda_storage<T>::upload(offset, from);
  }

  void download(index_t offset, std::span<T> to) const {
    const whole_elements from = whole_operand(operand(offset));
    cuda::copy_to_host(to.data(), from.at, to.size_bytes());
  }

  template <class Primitive, class... Arguments>
  static void run(const Arguments&... arguments) {
    if constexpr (std::same_as<Primitive, primitive::gemm>) multiply(arguments...);
    else if constexpr (std::same_as<Primitive, primitive::linear>) multiply_linear(arguments...);
    else if constexpr (attends<Primitive>) attend<Primitive>(arguments...);
    else cuda_storage<T>::template run<Primitive>(arguments...);
  }

 private:
  struct kept {
    std::mutex making;
    cuda_storage<cuda::bfloat16> elements;
  };

  template <class Primitive>
  static constexpr bool attends = std::same_as<Primitive, primitive::attention> || std::same_as<Primitive, primitive::attention_pushforward> ||
                                  std::same_as<Primitive, primitive::attention_pullback> || std::same_as<Primitive, primitive::attention_pullback_tangent>;

  static bool in_float(index_t m, index_t n, const operand_type& a, const operand_type& b) {
    return (m == 1 || n == 1) && a.whole() != nullptr && b.whole() != nullptr;
  }
  static void multiply(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const operand_type& a, const operand_type& b,
                       T beta, T* c) {
    if (in_float(m, n, a, b)) cuda::gemm(transpose_a, transpose_b, m, n, k, alpha, a.whole(), b.whole(), beta, c);
    else cuda::gemm(transpose_a, transpose_b, m, n, k, alpha, a.rounded(), b.rounded(), beta, c);
  }
  static void multiply(bool transpose_a, bool transpose_b, index_t m, index_t n, index_t k, T alpha, const operand_type& a, const operand_type& b,
                       T /*beta, 0*/, cuda::bfloat16* c) {
    cuda::gemm(transpose_a, transpose_b, m, n, k, alpha, a.rounded(), b.rounded(), c);
  }
  static void multiply_linear(index_t m, index_t n, index_t k, const operand_type& x, const operand_type& w, const T* bias, const T* onto,
                              T* y) {
    if (in_float(m, n, x, w)) cuda::linear(m, n, k, x.whole(), w.whole(), bias, onto, y);
    else cuda::linear(m, n, k, x.rounded(), w.rounded(), bias, onto, y);
  }

  /// On tensor cores where they take the heads; rows of operands then begin at multiples of 16 bytes.
  template <class Primitive, class... Arguments>
  static void attend(const attention_shape& sizes, const Arguments&... arguments) {
    const auto run_with = [&](const auto& of_operand) { cuda_storage<T>::template run<Primitive>(sizes, argument(arguments, of_operand)...); };
    std::vector<whole_elements> whole;
    if (cuda::attends_in_bfloat16(sizes.dim) && (aligned(arguments) && ...)) run_with([](const operand_type& x) { return x.rounded(); });
    else run_with([&](const operand_type& x) { return whole.emplace_back(whole_operand(x)).at; });
  }
  template <class A>
  static bool aligned(const A& a) {
    if constexpr (std::same_as<A, operand_type>) return a.offset % 8 == 0;
    else return true;
  }
  /// What of_operand gives for an operand; others are as they are.
  template <class A, class F>
  static auto argument(const A& a, const F& of_operand) {
    if constexpr (std::same_as<A, operand_type>) return of_operand(a);
    else return a;
  }
  /// With memory of its own for the elements of an operand alone.
  struct whole_elements {
    cuda_storage<T> made;
    const T* at;
  };
  static whole_elements whole_operand(const operand_type& x) {
    if (x.whole() != nullptr || !x.of) return {{}, x.whole()};
    const cuda_storage<T> made(x.of.size_);
    cuda::widen(x.of.rounded().data(), x.of.size_, made.data());
    return {made, made.data() + x.offset};
  }

  static bfloat16_cuda_storage alone(index_t size, const cuda_storage<cuda::bfloat16>& elements) {
    bfloat16_cuda_storage made;
    made.size_ = size;
    made.kept_ = std::make_shared<kept>();
    made.kept_->elements = elements;
    return made;
  }

  static cuda_storage<cuda::bfloat16> room_for(index_t size) {
    return with_purpose([&] { return cuda_storage<cuda::bfloat16>(size); }, size, " elements in bfloat16");
  }

  const cuda_storage<cuda::bfloat16>& rounded() const {
    const std::lock_guard lock(kept_->making);
    if (!kept_->elements) {
      const auto made = room_for(size_);
      cuda::round(this->data(), size_, made.data());
      kept_->elements = made;
    }
    return kept_->elements;
  }

  mutable index_t size_ = 0;  // of the only handle, where that shrinks it
  std::shared_ptr<kept> kept_;
};

static_assert(storage<bfloat16_cuda_storage<float>> && converting_storage<bfloat16_cuda_storage<float>>);

}  // namespace expunge
