// Where a pullback puts what it computes for one of its inputs.
#pragma once

#include "expunge/tensor/math.hpp"

namespace expunge {

/// The cotangent of one value while a reverse sweep gathers it; absent until the first contribution, which is kept or written, so that
/// nobody need clear memory. `in_place` marks memory that the caller gave. `fresh` memory is being written for the first time. With
/// `for_products` a product that comes first may be an operand alone.
template <class X>
struct cotangent {
  X value{};
  bool in_place = false;
  bool wanted = true;
  bool fresh = false;
  bool for_products = false;
};

/// A pullback's handle to the cotangent of one input; not wanted for constants, and then nothing need be computed.
template <class X>
class cotangent_slot {
 public:
  using value_type = typename X::value_type;

  explicit cotangent_slot(cotangent<X>* target) : target_(target != nullptr && target->wanted ? target : nullptr) {}

  [[nodiscard]] bool wanted() const { return target_ != nullptr; }

  /// Adds `contribution` (an absent one is zero). Nothing that adds does anything where not wanted().
  void add(const X& contribution) const {
    if (contribution.absent() || !wanted()) return;
    if (target_->value.absent()) {
      target_->value = contribution;
    } else if (writable()) {
      axpy(target_->value, value_type{1}, with_elements(contribution));
    } else {
      target_->value = mapped(functor::add{}, with_elements(target_->value), with_elements(contribution));
    }
  }

  /// Adds f(batch...) of tensors of the same shape, element by element, without an intermediate.
  template <class F, class... Rest>
  void add_mapped(const F& f, const X& first, const Rest&... rest) const {
    if (!wanted()) return;
    if (target_->value.absent()) {
      target_->value = mapped(f, first, rest...);
    } else {
      make_writable();
      map_in_place(functor::accumulate{f}, target_->value, first, rest...);
    }
  }

  /// Adds what f(first&, second&, batch...) assigns to two cotangents of one shape, in one pass, where they are two and neither has
  /// anything yet. Elsewhere false, with nothing done. With read_by::products those will read both cotangents too.
  template <read_by Readers, class F, class... Rest>
  friend bool add_mapped_pair(const cotangent_slot& a, const cotangent_slot& b, const F& f, const X& first, const Rest&... rest) {
    if (!begin_both<read_by::anyone>(a, b, first.extents())) return false;
    X &of_a = a.target_->value, &of_b = b.target_->value;
    if constexpr (Readers == read_by::products) {
      auto *const to_a = of_a.mutable_data(), *const to_b = of_b.mutable_data();
      of_a.begin_operand(), of_b.begin_operand();
      X::template run<primitive::map>(first.size(), functor::along_both{f}, of_a.operand_to_write(), of_b.operand_to_write(), to_a, to_b, first.data(),
                                      rest.data()...);
    } else {
      map_in_place(f, of_a, of_b, first, rest...);
    }
    return true;
  }

  /// The same as operands alone, of values that are such: f(first&, second&, x, y, bar).
  template <class F>
  friend bool add_pair_to_operands(const cotangent_slot& a, const cotangent_slot& b, const F& f, const X& x, const X& y, const X& bar) {
    if (!begin_both<read_by::products>(a, b, x.extents())) return false;
    X::template run<primitive::map>(x.size(), f, a.operand_to_write(), b.operand_to_write(), x.kept_operand(), y.kept_operand(), bar.kept_operand());
    return true;
  }

  /// Adds alpha * op(a) op(b), a matrix product of shape `extents`, without an intermediate where it can.
  void add_product(bool transpose_a, bool transpose_b, value_type alpha, const X& a, const X& b, const shape& extents) const {
    if (a.absent() || b.absent() || !wanted()) return;
    if constexpr (converting_storage<typename X::storage_type>)
      if (target_->for_products && target_->value.absent()) {
        target_->value = product_for_products(transpose_a, transpose_b, alpha, a, b);
        return;
      }
    const bool first = begin(extents);
    if (!first) make_writable();
    gemm(transpose_a, transpose_b, alpha, a, b, first ? value_type{0} : value_type{1}, target_->value);
  }

  /// The same for some rows of a cotangent of shape `extents`: those from `begin` on, as many as the product has. For products that
  /// fill all rows one after the other, each once.
  void add_product_to_rows(index_t begin, bool transpose_a, bool transpose_b, value_type alpha, const X& a, const X& b, const shape& extents) const {
    if (!wanted()) return;
    if (this->begin(extents)) target_->fresh = true;
    if (!target_->fresh) make_writable();
    X rows = target_->value.slice(begin, begin + (transpose_a ? a.cols() : a.rows()));
    gemm(transpose_a, transpose_b, alpha, a, b, target_->fresh ? value_type{0} : value_type{1}, rows);
    if (begin + rows.rows() == extents.rows()) target_->fresh = false;
  }

  /// Where there is no contribution yet: memory for the first, which the caller then writes whole; with read_by::products an operand alone, for a
  /// value that is one, at operand_to_write(). Says whether.
  template <read_by Readers = read_by::anyone>
  [[nodiscard]] bool begin(const shape& extents) const {
    if (!wanted() || !target_->value.absent()) return false;
    if constexpr (Readers == read_by::products) target_->value = X::for_products(extents);
    else target_->value = X(extents);
    return true;
  }
  [[nodiscard]] auto operand_to_write() const { return target_->value.operand_to_write(); }

  /// The memory to accumulate into (zeros at first), for kernels that add; null where not wanted.
  [[nodiscard]] typename X::pointer accumulator(const shape& extents) const {
    if (!wanted()) return nullptr;
    if (target_->value.absent()) target_->value = zeros<X>(extents);
    else make_writable();
    return target_->value.mutable_data();
  }

  /// The same for kernels that add on the host, and on a device write what nobody has written. Called in the order in which they put
  /// their results: several inputs may be one value.
  [[nodiscard]] auto destination(const shape& extents) const {
    if (wanted() && target_->value.absent()) return new_destination(target_->value, extents);
    if constexpr (device_storage<typename X::storage_type>) return expunge::destination<value_type>{accumulator(extents)};
    else return accumulator(extents);
  }

 private:
  template <read_by Readers>
  static bool begin_both(const cotangent_slot& a, const cotangent_slot& b, const shape& extents) {
    const bool two = b.wanted() && b.target_->value.absent() && a.target_ != b.target_;
    return two && a.template begin<Readers>(extents) && b.template begin<Readers>(extents);
  }
  [[nodiscard]] bool writable() const { return target_->in_place || (target_->value.unique() && !target_->value.is_operand_alone()); }
  void make_writable() const {
    if (target_->value.is_operand_alone()) target_->value = with_elements(target_->value);
    else if (!writable()) target_->value = clone(target_->value);
  }

  cotangent<X>* target_ = nullptr;
};

}  // namespace expunge
