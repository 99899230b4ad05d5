// Reverse mode: a tape of recorded operations and the values it tracks.
#pragma once

#include <cstddef>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "expunge/autodiff/arena.hpp"
#include "expunge/autodiff/cotangent.hpp"
#include "expunge/autodiff/dual.hpp"
#include "expunge/core/error.hpp"

namespace expunge {

/// One recorded operation or leaf. V = X records gradients; V = dual<X> (second_order.hpp) also replays tangents.
template <class V>
struct node;

template <class T, class S>
struct node<tensor<T, S>> {
  cotangent<tensor<T, S>> adjoint;
  index_t size = -1;  // of the value; -1: not known

  node() = default;
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  virtual ~node() = default;
  /// Adds this node's share to the adjoints of its inputs. A leaf has none.
  virtual void pullback() {}
  /// Drops everything saved for the pullback.
  virtual void release() {}
  // For values that are not kept (recompute.hpp):
  /// Lets go of `value` where it was saved, and says whether.
  virtual bool forget(const tensor<T, S>& /*value*/) { return false; }
  /// Takes the forgotten value again.
  virtual void remember(const tensor<T, S>& /*value*/) {}
  /// Computes the node's value once more.
  virtual tensor<T, S> again() { fail("recompute_later: the operation that made this value has no `again` (autodiff/apply.hpp)"); }
};

template <class V>
class tape;

/// A value on a tape, or a constant (no node). Copies refer to the same node. On tape<dual<X>> its tangent can be asked for later.
template <class V>
struct var {
  using X = typename detail::underlying<V>::type;
  X value{};
  node<V>* origin = nullptr;
  tape<V>* on = nullptr;

  var() = default;
  /// A constant.
  explicit(false) var(X constant) : value(std::move(constant)) {}
  var(X v, node<V>* n, tape<V>* t) : value(std::move(v)), origin(n), on(t) {}
};

namespace detail {

template <class X>
void require_gradient_of(const X& value, const X& gradient) {
  require(gradient.absent() || gradient.extents() == value.extents(), "tape: a gradient of shape ", gradient.extents(), " for a leaf of shape ",
          value.extents());
}
/// What a rule gives has the size of what it is the tangent or cotangent of, which kernels read.
template <class X>
void require_fits(const char* function, const X& given, index_t size) {
  require(given.absent() || size < 0 || given.size() == size, "a rule's ", function, " gives shape ", given.extents(), " where ", size,
          " elements are expected: tangents have the value's shape, cotangents their input's (autodiff/apply.hpp)");
}
template <class V, class X>
void require_seed(const tape<V>& swept, const var<V>& output, const X& seed) {
  require(output.origin != nullptr && output.on == &swept, "pullback: the output was not recorded on this tape");
  require(seed.extents() == output.value.extents(), "pullback: seed of shape ", seed.extents(), " for an output of shape ", output.value.extents());
}
inline void require_not_swept(bool released) {
  require(!released, "pullback: an earlier sweep took what this operation had saved; record it again");
}

/// The tape of an operation's inputs; null where all are constants. Throws expunge::error where they are on two.
template <class V, class... Rest>
tape<V>* tape_of(const var<V>& first, const Rest&... rest) {
  tape<V>* on = nullptr;
  for (tape<V>* const other : {first.on, rest.on...}) {
    require(on == nullptr || other == nullptr || on == other, "an operation on values of two tapes: a sweep of one would leave out the other's gradients");
    if (other != nullptr) on = other;
  }
  return on;
}

/// The part of a tape that does not depend on the order of differentiation.
template <class V>
class node_list {
 public:
  node_list() = default;
  node_list(const node_list&) = delete;
  node_list& operator=(const node_list&) = delete;
  ~node_list() { clear(); }

  /// Forgets everything recorded; variables made on the tape become invalid. Keeps its memory for the next recording.
  void clear() {
    for (std::size_t i = nodes_.size(); i > 0; --i) nodes_[i - 1]->~node();
    nodes_.clear();
    parts_.clear();
    arena_.reset();
  }

  /// What is recorded from now on belongs to `name`: where a sweep over it runs out of memory, the error says so.
  void begin_part(const std::string& name) { parts_.emplace_back(nodes_.size(), name); }

  /// What was recorded after `origin`.
  [[nodiscard]] std::span<node<V>* const> since(const node<V>* origin) const {
    std::size_t i = nodes_.size();
    while (i > 0 && nodes_[i - 1] != origin) --i;
    return std::span(nodes_).subspan(i);
  }

  /// Builds a node in the tape's memory. Node is node<V> for a leaf or derives from it.
  template <class Node, class... Arguments>
  Node* emplace(Arguments&&... arguments) {
    void* memory = arena_.allocate(sizeof(Node), alignof(Node));
    Node* made = new (memory) Node(std::forward<Arguments>(arguments)...);
    nodes_.push_back(made);
    return made;
  }

 protected:
  /// Calls f(node) from the last to the first.
  template <class F>
  void in_reverse(const F& f) const {
    std::size_t end = nodes_.size();
    const auto down_to = [&](std::size_t begin) {
      for (; end > begin; --end) f(*nodes_[end - 1]);
    };
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) with_purpose([&] { down_to(part->first); }, "sweep over ", part->second);
    down_to(0);
  }
  /// The same from the first to the last.
  template <class F>
  void in_order(const F& f) const {
    std::size_t begin = 0;
    const auto up_to = [&](std::size_t end) {
      for (; begin < end; ++begin) f(*nodes_[begin]);
    };
    up_to(parts_.empty() ? nodes_.size() : parts_.front().first);
    for (std::size_t p = 0; p < parts_.size(); ++p)
      with_purpose([&] { up_to(p + 1 < parts_.size() ? parts_[p + 1].first : nodes_.size()); }, "sweep over ", parts_[p].second);
  }

  std::vector<node<V>*> nodes_;

 private:
  std::vector<std::pair<std::size_t, std::string>> parts_;  // their first nodes and names
  arena arena_;
};

}  // namespace detail

/// Records operations on var<X> in order of execution; the sweep visits each node once, iteratively, in reverse.
template <class T, class S>
class tape<tensor<T, S>> : public detail::node_list<tensor<T, S>> {
 public:
  using X = tensor<T, S>;

  /// A tracked input. Where `gradient` is given (a tensor of the same shape), its cotangent is added there in place; otherwise
  /// gradient_of() returns it after the sweep.
  var<X> leaf(const X& value, const X& gradient = {}) {
    detail::require_gradient_of(value, gradient);
    auto* made = this->template emplace<node<X>>();
    made->adjoint.value = gradient;
    made->adjoint.in_place = !gradient.absent();
    made->size = value.size();
    return {value, made, this};
  }

  /// Reverse sweep from `output` with cotangent `seed` of its shape, which nobody may write before the sweep ends. Frees each node's saved
  /// values after its visit, so that what was recorded can be swept once; leaves gather what several sweeps give. Throws expunge::error for
  /// a constant output, a seed of another shape, or an operation that was swept before.
  void pullback(const var<X>& output, const X& seed) {
    detail::require_seed(*this, output, seed);
    cotangent_slot<X>(&output.origin->adjoint).add(seed);
    this->in_reverse([](node<X>& n) {
      if (!n.adjoint.value.absent()) n.pullback();
      n.release();
    });
  }
};

/// The cotangent gathered by `x` (absent: zero) after a sweep.
template <class X>
const X& gradient_of(const var<X>& x) {
  require(x.origin != nullptr, "gradient_of: the variable is a constant");
  return x.origin->adjoint.value;
}

}  // namespace expunge
