// Causal grouped-query attention over ragged batches, and the rotary position embedding.
#pragma once

#include "expunge/autodiff/apply.hpp"

namespace expunge {

namespace detail {

template <class X, read_by Readers = read_by::anyone>
struct rotary_rule {
  static constexpr bool linear = true;
  typename X::index_tensor positions{};
  X cosines{}, sines{};  // [positions, dim / 2]
  index_t heads = 0;
  shape input{};
  bool of_operand = false;  // then the input's cotangent is one too

  X forward(const X& x) {
    require(heads > 0 && positions.size() == x.rows() && x.cols() == heads * 2 * cosines.cols() && sines.extents() == cosines.extents(),
            "rotary: input ", x.extents(), " with ", positions.size(), " positions, ", heads, " heads and a table of ", cosines.extents());
    input = x.extents();
    of_operand = x.is_operand_alone();
    return rotated(x);
  }
  X pushforward(const X& dx) const { return rotated(dx); }
  void pullback(const X& y_bar, cotangent_slot<X> x_bar) const {
    if (!x_bar.wanted()) return;
    if constexpr (Readers == read_by::products)
      if (of_operand && x_bar.template begin<read_by::products>(input)) return run(y_bar.data(), true, x_bar.operand_to_write(), false);
    const bool first = x_bar.begin(input);
    run(y_bar.data(), true, x_bar.accumulator(input), !first);
  }
  void restrict(const batch_part& part) { part.restrict(input), part.restrict(positions); }

 private:
  X rotated(const X& x) const {
    return written<X, Readers>(x.extents(), [&](auto y) {
      if constexpr (Readers == read_by::products)
        if (x.is_operand_alone()) return run(x.kept_operand(), false, y, false);
      run(x.data(), false, y, false);
    });
  }
  void run(const auto& from, bool transpose, const auto& to, bool accumulate) const {
    X::template run<primitive::rotary>(from, positions.data(), cosines.data(), sines.data(), positions.size(), heads, input.cols() / heads, transpose,
                                       to, accumulate);
  }
};

template <class X>
struct attention_rule {
  using T = typename X::value_type;
  static constexpr int operand_cotangents = 2;
  attention_shape sizes{};
  T scale = 1;
  typename X::index_tensor offsets{}, key_offsets{};  // the latter the former where no example has a past
  X q{}, k{}, v{}, out{}, lse{}, dout{}, dlse{};  // the first three for products alone

  X forward(const X& q_, const X& k_, const X& v_) {
    require(k_.rows() == sizes.key_rows && k_.extents() == v_.extents() && q_.cols() == sizes.heads * sizes.dim &&
                k_.cols() == sizes.kv_heads * sizes.dim && key_offsets.size() == offsets.size(),
            "attention: q ", q_.extents(), ", k ", k_.extents(), ", v ", v_.extents(), ", ", offsets.size(), " offsets of rows and ",
            key_offsets.size(), " of keys for ", sizes.heads, " heads, ", sizes.kv_heads, " key-value heads of ", sizes.dim);
    out = X(q_.extents());
    lse = X(shape{q_.rows(), sizes.heads});
    X::template run<primitive::attention>(sizes, offsets.data(), key_offsets.data(), q_.operand(), k_.operand(), v_.operand(), scale,
                                          out.mutable_data(), lse.mutable_data());
    q = q_.operand_alone();
    k = k_.operand_alone();
    v = v_.operand_alone();
    return out;
  }
  X pushforward(const X& dq, const X& dk, const X& dv) {
    dout = X(out.extents());
    dlse = X(lse.extents());
    X::template run<primitive::attention_pushforward>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale,
                                                      out.data(), lse.data(), dq.operand(), dk.operand(), dv.operand(), dout.mutable_data(),
                                                      dlse.mutable_data());
    return dout;
  }
  void pullback(const X& out_bar, cotangent_slot<X> q_bar, cotangent_slot<X> k_bar, cotangent_slot<X> v_bar) const {
    const auto to_q = q_bar.destination(q.extents()), to_k = k_bar.destination(k.extents()), to_v = v_bar.destination(v.extents());
    X::template run<primitive::attention_pullback>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale,
                                                   out.data(), lse.data(), out_bar.operand(), to_q, to_k, to_v);
  }
  void pullback_tangent(const X& dq, const X& dk, const X& dv, const X& out_bar, const X& dout_bar, cotangent_slot<X> dq_bar,
                        cotangent_slot<X> dk_bar, cotangent_slot<X> dv_bar) const {
    const auto to_q = dq_bar.destination(q.extents()), to_k = dk_bar.destination(k.extents()), to_v = dv_bar.destination(v.extents());
    X::template run<primitive::attention_pullback_tangent>(
        sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale, out.data(), lse.data(), dq.operand(), dk.operand(),
        dv.operand(), dout.data(), dlse.data(), out_bar.operand(), dout_bar.operand(), to_q, to_k, to_v);
  }
  void restrict(const batch_part& part) {
    for (X* saved : {&q, &k, &v, &out, &lse}) part.restrict(*saved);
    part.restrict_offsets(offsets);
    part.restrict_offsets(key_offsets);
    sizes.examples = part.examples();
    sizes.rows = q.rows();
    sizes.key_rows = k.rows();
  }
};

/// The dimension of a head. Throws expunge::error where heads do not share key-value heads evenly.
inline index_t head_dimension(index_t columns, index_t heads, index_t kv_heads) {
  require(heads > 0 && kv_heads > 0 && heads % kv_heads == 0, "attention: ", heads, " heads are no multiple of ", kv_heads, " key-value heads");
  return columns / heads;
}

/// The scale of scores, which is positive: a row's largest score stays its largest. Throws expunge::error.
template <class T>
T positive_scale(T scale) {
  require(scale > 0, "attention: the scale of scores is ", scale, ", it must be positive");
  return scale;
}

}  // namespace detail

/// Cosines and sines of the rotary angles, each [max_position, dim / 2].
template <class X>
struct rotary_table {
  X cosines{};
  X sines{};
};

/// Rotates the pairs (j, j + dim / 2) of every head by its position's angle (Su et al. 2021, in the layout of Hugging Face).
/// x [rows, heads * dim], positions [rows], in the table (not checked). With read_by::products attention alone reads it, and x may be an
/// operand alone.
template <read_by Readers = read_by::anyone, differentiable_value V>
V rotary(const V& x, const typename tensor_of<V>::index_tensor& positions, const rotary_table<tensor_of<V>>& table,
         index_t heads) {
  return apply(detail::rotary_rule<tensor_of<V>, detail::readers_of<V, Readers>>{positions, table.cosines, table.sines, heads}, x);
}

/// softmax(q k^T * scale, causal) v for each example and head, scale > 0; query heads share key-value heads in groups.
/// q [rows, heads * dim], k and v [keys, kv_heads * dim], which may be operands alone; example e owns the rows offsets[e] to offsets[e + 1] and
/// the keys key_offsets[e] to key_offsets[e + 1]: first those of its past, to which all its rows attend, then one for each of its rows (offsets
/// ascend, the last are the numbers of rows and keys; not checked).
template <differentiable_value V>
V causal_attention(const V& q, const V& k, const V& v, const typename tensor_of<V>::index_tensor& offsets,
                   const typename tensor_of<V>::index_tensor& key_offsets, index_t heads, index_t kv_heads, typename tensor_of<V>::value_type scale) {
  using X = tensor_of<V>;
  const index_t dim = detail::head_dimension(primal_of(q).cols(), heads, kv_heads);
  return apply(detail::attention_rule<X>{{offsets.size() - 1, heads, kv_heads, dim, primal_of(q).rows(), primal_of(k).rows()}, detail::positive_scale(scale),
                                         offsets, key_offsets}, q, k, v);
}

/// The same without a past: a key for each row.
template <differentiable_value V>
V causal_attention(const V& q, const V& k, const V& v, const typename tensor_of<V>::index_tensor& offsets, index_t heads, index_t kv_heads,
                   typename tensor_of<V>::value_type scale) {
  require(primal_of(k).rows() == primal_of(q).rows(), "attention: q ", primal_of(q).extents(), " and k ", primal_of(k).extents(),
          ": without key_offsets there is a key for each row");
  return causal_attention(q, k, v, offsets, offsets, heads, kv_heads, scale);
}

}  // namespace expunge
