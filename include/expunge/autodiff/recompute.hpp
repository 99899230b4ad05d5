// Selective recomputation (Korthikanti et al. 2022): values that are cheap to compute again are not kept for the reverse sweep.
#pragma once

#include <utility>
#include <vector>

#include "expunge/autodiff/apply.hpp"

namespace expunge {

namespace detail {

/// Comes to a sweep before those that read the value, and gives it back to them.
template <class X>
struct recompute_node final : node<X> {
  node<X>* producer;
  std::vector<node<X>*> readers;

  recompute_node(node<X>* made_by, std::vector<node<X>*> read_by) : producer(made_by), readers(std::move(read_by)) {
    this->adjoint.value = X(shape{1});  // so that the sweep visits it
  }
  void pullback() override {
    const X value = producer->again();
    for (node<X>* n : readers) n->remember(value);
  }
  void release() override { this->adjoint.value = {}; }
};

}  // namespace detail

/// Lets go of what the operations recorded so far keep of x, a value that a rule with `again()` made; the sweep computes it again when
/// it comes to them. Call it behind the last that reads x. Nothing happens without a tape, or on tape<dual<X>>, where both sweeps read it.
template <class V>
void recompute_later(const V& /*x*/) {}
template <class X>
void recompute_later(const var<X>& x)
  requires is_tensor<X>
{
  if (x.origin == nullptr) return;
  std::vector<node<X>*> readers;
  for (node<X>* n : x.on->since(x.origin))
    if (n->forget(x.value)) readers.push_back(n);
  if (!readers.empty()) x.on->template emplace<detail::recompute_node<X>>(x.origin, std::move(readers));
}

}  // namespace expunge
