// What the trainer asks of a model.
#pragma once

#include <concepts>
#include <span>
#include <vector>

#include "expunge/autodiff/apply.hpp"
#include "expunge/nn/parameter_tree.hpp"
#include "expunge/nn/site.hpp"

namespace expunge::nn {

/// What `visit` may be called with.
struct any_visitor {
  template <class... P>
  void operator()(const name_path&, P&...) const {}
};

/// A model over tensors that can be rebuilt over any value type. Nobody derives from anything: a struct template with these
/// members will do (examples/own_model.cpp).
template <class M>
concept model = requires(const M& m, const any_visitor& visitor, std::span<const typename M::example_type* const> examples,
                         const typename M::batch_type& b) {
  requires is_tensor<typename M::value_type>;            // M itself holds plain tensors: inference
  { m.make_batch(examples) } -> std::same_as<typename M::batch_type>;
  { b.examples() } -> std::convertible_to<index_t>;      // how many examples the batch has
  { b.lengths } -> std::convertible_to<const std::vector<index_t>&>;  // labels of each example, for means over tokens
  { b.offsets } -> std::convertible_to<const typename M::value_type::index_tensor&>;  // rows of each example, for gates (see row_structured)
  { m.nll(b, no_observer{}) } -> std::same_as<typename M::value_type>;  // [examples]: summed NLL of each example's labels
  M::visit(name_path{}, visitor, m);                     // names every parameter (nn/parameter_tree.hpp)
  m.template rebound<dual<typename M::value_type>>();    // the same structure over another value type, parameters unset
};

/// A model that offers a batch whose examples share the rows of common beginnings; nll() of it gives what it gives of make_batch's
/// (metric/likelihood.hpp).
template <class M>
concept shares_beginnings = model<M> && requires(const M& m, std::span<const typename M::example_type* const> examples) {
  { m.make_shared_batch(examples) } -> std::same_as<typename M::batch_type>;
};

/// Throws expunge::error where a model's nll() has not one value for each example of its batch.
inline void check_sums_of_examples(index_t values, const std::vector<index_t>& lengths) {
  require(values == std::ssize(lengths), "the model's nll() has ", values, " values for a batch of ", lengths.size(),
          " examples: it must return one sum an example (segment_sum over the example's labels)");
}

/// The batch for inference: a shared one where the model offers it.
template <model M>
typename M::batch_type inference_batch(const M& m, std::span<const typename M::example_type* const> examples) {
  if constexpr (shares_beginnings<M>) return m.make_shared_batch(examples);
  else return m.make_batch(examples);
}

/// The batch of a training step that looks at sums over its examples only, the first `apart` of them and the others: where the model offers
/// `make_training_batch(examples, apart)`, examples on the same side may share rows (row_structured).
template <model M>
typename M::batch_type training_batch(const M& m, std::span<const typename M::example_type* const> examples, index_t apart) {
  if constexpr (requires { { m.make_training_batch(examples, apart) } -> std::same_as<typename M::batch_type>; }) return m.make_training_batch(examples, apart);
  else return m.make_batch(examples);
}

/// A batch that offers the rows of each example says that what the model records is laid out by example (autodiff/batch_part.hpp), with no
/// more labels than rows. What is made of parameters alone has no rows; nor has a constant beside a parameter in an element-wise operation
/// (a mask), while any other operation takes constants for rows of the batch. SSIUU then runs forget and retain examples in one pass, and
/// Algorithm 1 with one sweep instead of two. Where a batch has `key_counts` (and `apart`) that are not empty, examples share rows: `offsets`,
/// `row_counts` and `key_counts`, how many rows each attends to, are then of ranges of rows, as many as examples, those of the first `apart`
/// examples in front; labels stay in the order of the examples; and there are more rows than labels and fewer than their keys.
template <class B>
concept row_structured = requires(const B& b) {
  { b.row_counts } -> std::convertible_to<const std::vector<index_t>&>;
};

}  // namespace expunge::nn
