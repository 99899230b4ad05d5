// Gates: an observer that reads activation x gradient per example and neuron, and lets tangents in at the neurons.
//
// A gate multiplies neuron i of example b by (1 + epsilon v[b, i]) at epsilon = 0. Its cotangent's product with the neuron,
// summed over the example's tokens, is the attribution A[b, i]; and a sweep with tangents v differentiates sum v A.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "expunge/attribution/functor.hpp"
#include "expunge/autodiff/instances.hpp"
#include "expunge/autodiff/second_order.hpp"
#include "expunge/nn/site.hpp"
#include "expunge/tensor/host_storage.hpp"

namespace expunge::attribution {

/// What is differentiated: the joint probability P(y|x), as in Eq. 1, or its logarithm, which does not vanish with P.
enum class measured { probability, log_probability };

/// Which sites carry features: all, the feed-forward ones, or those for which a function is true (one without captures, so that two choices
/// can be compared): sites{[](const nn::site& s) { return s.block >= 4; }}.
struct sites {
  bool (*chosen)(const nn::site&) = [](const nn::site&) { return true; };
  static const sites all, ffn;

  friend bool operator==(const sites&, const sites&) = default;
};
inline constexpr sites sites::all{};
inline constexpr sites sites::ffn{[](const nn::site& s) {
  return s.module == nn::module::gate || s.module == nn::module::up || s.module == nn::module::down || s.module == nn::module::hidden;
}};

/// What one gate saw and lets in; all are [examples, neurons] of its site.
template <class X>
struct gate_state {
  nn::site where;
  X sum{};       // over the example's tokens of neuron * cotangent
  X largest{};   // and its extremes, where the list asks for them
  X smallest{};
  X tangent{};   // v, or one row for all examples; absent lets nothing in

  /// After a sweep. Throws expunge::error where it did not come here.
  void check_reached() const {
    require(!sum.absent(), "the loss does not depend on what the observer returned for ", where, ": write `h = observe(site, h, offsets)`");
  }
};

/// The gates of a model in the order in which it shows its sites. Reused from recording to recording.
template <class X>
struct gate_list {
  sites which = sites::all;
  bool extremes = false;
  index_t examples = 0;  // the first so many have attributions; 0: all
  std::deque<gate_state<X>> gates{};  // stable addresses
  std::size_t next = 0;

  /// Call before each recording.
  void rewind() {
    next = 0;
    for (gate_state<X>& g : gates) g.sum = g.largest = g.smallest = g.tangent = {};
  }
  /// After a recording. Throws expunge::error where no gate is in it, or others than in an earlier one.
  void check_shown() const {
    require(next > 0, "the model showed none of the chosen sites: its nll() must pass the outputs of linear layers through `h = observe(site, h, "
            "offsets)` (nn/site.hpp)");
    require(next == gates.size(), "the model showed ", next, " of the ", gates.size(), " sites that it showed before: every batch must show ",
            "the same ones");
  }
};

namespace detail {

template <class X>
struct gate_rule {
  typename X::index_tensor offsets{};
  gate_state<X>* state = nullptr;
  index_t limit = 0;
  bool extremes = false;
  X h{};

  X forward(const X& x) {
    h = x;
    return x;
  }
  void restrict(const batch_part& part) { part.restrict(h), part.restrict_offsets(offsets); }
  [[nodiscard]] bool is_tangent_source() const { return !state->tangent.absent(); }

  // Arguments by value: a tensor that nobody else has is changed in place.
  X pushforward(X dx) {
    if (dx.absent()) dx = zeros<X>(h.extents());
    if (is_tangent_source()) multiply_add(h, dx);
    h = {};  // the second sweep does not ask for it
    return dx;
  }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    const index_t examples = limit > 0 ? limit : offsets.size() - 1;
    state->sum = X(shape{examples, h.cols()});
    if (extremes) {
      state->largest = X(shape{examples, h.cols()});
      state->smallest = X(shape{examples, h.cols()});
    }
    X::template run<primitive::segment_products>(h.data(), y_bar.data(), offsets.data(), examples, h.cols(),
                                                 state->sum.mutable_data(), state->largest.mutable_data(),
                                                 state->smallest.mutable_data());
    x_bar.add(y_bar);
  }
  void pullback_tangent(const X& /*dx*/, const X& y_bar, X dy_bar, cotangent_slot<X> dx_bar) const {
    if (!dx_bar.wanted()) return;
    if (is_tangent_source() && !y_bar.absent()) {
      if (dy_bar.absent()) dy_bar = zeros<X>(y_bar.extents());
      multiply_add(y_bar, dy_bar);
    }
    dx_bar.add(dy_bar);
  }

 private:
  /// out += v * factor
  void multiply_add(const X& factor, X& out) const {
    if (!out.unique()) out = clone(out);
    const X& v = state->tangent;
    X::template run<primitive::segment_multiply>(v.data(), v.rows() == 1 ? index_t{0} : v.cols(), factor.data(), offsets.data(), offsets.size() - 1,
                                                 v.cols(), out.mutable_data());
  }
};

}  // namespace detail

/// The observer that puts a gate at every selected site.
template <class X>
struct gate_observer {
  gate_list<X>* list;

  /// A row without influence adds nothing to a sum, but may be an extreme.
  [[nodiscard]] bool all_rows() const { return list->extremes; }

  template <class V>
  V operator()(const nn::site& where, const V& h, const typename X::index_tensor& offsets) const {
    if (!list->which.chosen(where)) return h;
    if constexpr (std::same_as<typename X::index_tensor::storage_type, host_storage<std::int32_t>>) {  // a device would wait
      const shape& shown = primal_of(h).extents();
      std::int32_t rows = 0;
      offsets.slice(offsets.size() - 1, offsets.size()).download({&rows, 1});
      require(shown.rank() == 2 && shown.rows() == rows, "the model shows ", where, " with shape ", shown, " and ranges of ", rows,
              " rows: give the observer [rows, neurons] and the examples' ranges of those rows");
    }
    if (list->next == list->gates.size()) list->gates.push_back({where});
    gate_state<X>& state = list->gates[list->next++];
    require(state.where == where, "the model shows ", where, " where it showed ", state.where, " before");
    return apply(detail::gate_rule<X>{offsets, &state, list->examples, list->extremes, {}}, h);
  }
};

}  // namespace expunge::attribution

EXPUNGE_INSTANCES(EXPUNGE_ATTRIBUTION_MAPS, EXPUNGE_HOST_MAP)
// A gate is never only evaluated.
#define EXPUNGE_ATTRIBUTION_OPERATIONS(OPERATION, T)                                                                                      \
  EXPUNGE_APPLY(expunge::var<expunge::tensor<T>>, EXPUNGE_UNARY, expunge::attribution::detail::gate_rule<expunge::tensor<T>>)              \
  EXPUNGE_APPLY(expunge::var<expunge::dual<expunge::tensor<T>>>, EXPUNGE_UNARY, expunge::attribution::detail::gate_rule<expunge::tensor<T>>)
EXPUNGE_OPERATION_INSTANCES(EXPUNGE_ATTRIBUTION_OPERATIONS)
