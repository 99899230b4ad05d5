// The tape of forward-over-reverse: nodes that keep the first sweep's cotangents and take tangents. How it is used: second_order.hpp.
#pragma once

#include <span>
#include <vector>

#include "expunge/autodiff/apply.hpp"
#include "expunge/autodiff/row_weights.hpp"

namespace expunge {

template <class T, class S>
struct node<dual<tensor<T, S>>> {
  using X = tensor<T, S>;
  X tangent{};
  cotangent<X> adjoint;
  cotangent<X> adjoint_tangent;
  bool of_parameters = false;  // made from leaves, and constants beside them, alone: its cotangents are sums over the batch
  index_t readers = 0;         // operations that may still ask for the tangent
  index_t size = -1;           // of the value; -1: not known, as it was cut down

  node() = default;
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  virtual ~node() = default;
  virtual void pullback() {}
  virtual void pushforward() {}
  virtual void pullback_tangent() {}
  virtual void release() {}
  // For a sweep that shares out the parameters' gradients (tape::pullback with shares):
  [[nodiscard]] virtual bool reads_parameters() const { return false; }
  /// Who reads this node's cotangent for those gradients.
  [[nodiscard]] virtual read_by cotangent_readers() const { return read_by::anyone; }
  /// Adds to `target` of the inputs that are, or are not, of parameters what the pullback of `y_bar` gives them; with a part, of
  /// its rows alone, which `y_bar` then has.
  virtual void pullback_into(bool /*parameters*/, cotangent<X> node::* /*target*/, const X& /*y_bar*/, const batch_part* /*part*/) {}
  /// Says whether the second sweep is to gather the parameters' second gradient for the rows of now together with its own, and keeps
  /// what that takes.
  virtual bool postpone() { return false; }
  /// Cuts all that was kept down to a part of the batch.
  virtual void restrict(const batch_part& /*part*/) {}
};

/// One of the gradients that a sweep gathers for the parameters: of a part of the examples, each with its weight.
template <class X>
struct gradient_share {
  batch_part part;
  row_weights<X> weights;                 // absent: 1
  cotangent<X> node<dual<X>>::*into;
};

template <class T, class S>
class tape<dual<tensor<T, S>>> : public detail::node_list<dual<tensor<T, S>>> {
 public:
  using X = tensor<T, S>;

  /// A tracked input; its second-order cotangent is added to `gradient` in place where that is given.
  var<dual<X>> leaf(const X& value, const X& gradient = {}) {
    detail::require_gradient_of(value, gradient);
    auto* made = this->template emplace<node<dual<X>>>();
    made->adjoint_tangent.value = gradient;
    made->adjoint_tangent.in_place = !gradient.absent();
    made->of_parameters = true;
    made->size = value.size();
    leaves_.push_back(made);
    return {value, made, this};
  }

  void clear() {
    detail::node_list<dual<X>>::clear();
    leaves_.clear();
    first_ = tangents_ = second_ = false;
  }

  /// First sweep. With `leaves` false only what lies between the leaves and the output gets cotangents. `seed` is kept, not copied: nobody
  /// may write it before the last sweep. Throws expunge::error for a constant output, a seed of another shape, and a tape that was swept before.
  void pullback(const var<dual<X>>& output, const X& seed, bool leaves = true) {
    detail::require_seed(*this, output, seed);
    once(first_);
    for (node<dual<X>>* n : leaves_) n->adjoint.wanted = leaves;
    cotangent_slot<X>(&output.origin->adjoint).add(seed);
    this->in_reverse([](node<dual<X>>& n) {
      if (n.adjoint.value.absent()) return;
      n.pullback();
      n.adjoint.value.drop_operand();  // not worth its memory until the second sweep
    });
  }

  /// First sweep over a batch laid out by example. What depends on rows gets its cotangents once; the parameters get one
  /// gradient for each share, by a pullback of the rows' cotangents so cut and weighted. What is kept for a second sweep is cut down
  /// to the part `kept`; without one nothing is, and the second sweep only carries on what was made from parameters. `rest`: the
  /// examples behind `kept`, where the second gradient is to have their share, at the latest after the second sweep.
  void pullback(const var<dual<X>>& output, const X& seed, std::span<const gradient_share<X>> shares, const batch_part* kept = nullptr,
                const batch_part* rest = nullptr) {
    detail::require_seed(*this, output, seed);
    require(!output.origin->of_parameters, "the output is made of parameters, and of constants of their shape, alone, which have no rows: leave "
            "`row_counts` out of the model's batch, or set `joint` of the trainer to false");
    once(first_);
    cotangent_slot<X>(&output.origin->adjoint).add(seed);
    this->in_reverse([&](node<dual<X>>& n) {
      const bool reached = !n.adjoint.value.absent();
      if (n.of_parameters) {
        if (reached) n.pullback();
        return;
      }
      if (reached) n.pullback_into(false, &node<dual<X>>::adjoint, n.adjoint.value, nullptr);
      const auto share = [&](const batch_part& part, const row_weights<X>& weights, cotangent<X> node<dual<X>>::*into) {
        n.pullback_into(true, into, weights.applied(n.adjoint.value, part, n.cotangent_readers()), &part);
      };
      if (reached && n.reads_parameters()) {
        for (const gradient_share<X>& s : shares) share(s.part, s.weights, s.into);
        if (rest != nullptr && !n.postpone()) share(*rest, {}, &node<dual<X>>::adjoint_tangent);
      }
      n.adjoint.value.drop_operand();
      if (kept != nullptr) n.restrict(*kept);
      else n.release();
    });
  }

  /// Computes the tangents that follow from those set (set_tangent, or within a rule). Once; before the first sweep only where no operation is a gate.
  void pushforward() {
    once(tangents_);
    this->in_order([](node<dual<X>>& n) { n.pushforward(); });
  }

  /// Second sweep, after pullback(): adds to the second-order cotangents the derivative of the first sweep along the tangents,
  /// where the seed's own derivative is `seed_tangent`. Without pushforward() it is a plain sweep with that seed.
  /// Frees what the recording saved. An absent seed is zero.
  void pullback_tangent(const var<dual<X>>& output, const X& seed_tangent) {
    if (!seed_tangent.absent()) detail::require_seed(*this, output, seed_tangent);
    require(first_, "pullback_tangent: pullback() comes first");
    once(second_);
    if (!seed_tangent.absent()) cotangent_slot<X>(&output.origin->adjoint_tangent).add(seed_tangent);
    this->in_reverse([](node<dual<X>>& n) {
      if (!n.adjoint.value.absent() || !n.adjoint_tangent.value.absent()) n.pullback_tangent();
      n.release();
    });
  }

 private:
  void once(bool& done) {
    require(!done && !second_, "a recording is swept once: pullback(), pushforward() if there are tangents, pullback_tangent(); clear() the tape and "
                               "record again");
    done = true;
  }

  std::vector<node<dual<X>>*> leaves_;
  bool first_ = false, tangents_ = false, second_ = false;  // sweeps that were
};

template <class X>
void set_tangent(const var<dual<X>>& x, const X& tangent) {
  require(x.origin != nullptr, "set_tangent: the variable is a constant");
  require(tangent.absent() || tangent.extents() == x.value.extents(), "set_tangent: shape ", tangent.extents(), " for ",
          x.value.extents());
  x.origin->tangent = tangent;
}
/// After pushforward(), of an output: a tangent that nothing but linear operations reads is dropped behind them.
template <class X>
const X& tangent_of(const var<dual<X>>& x) {
  require(x.origin != nullptr, "tangent_of: the variable is a constant");
  return x.origin->tangent;
}
/// The cotangent of the first sweep.
template <class X>
const X& gradient_of(const var<dual<X>>& x) {
  require(x.origin != nullptr, "gradient_of: the variable is a constant");
  return x.origin->adjoint.value;
}
/// The derivative of the cotangent along the tangents: for a leaf, a Hessian-vector product.
template <class X>
const X& gradient_tangent_of(const var<dual<X>>& x) {
  require(x.origin != nullptr, "gradient_tangent_of: the variable is a constant");
  return x.origin->adjoint_tangent.value;
}

}  // namespace expunge
