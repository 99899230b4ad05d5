// Matrix products of tensors and the linear layer's, which adds its bias itself.
#pragma once

#include "expunge/core/error.hpp"
#include "expunge/tensor/primitive.hpp"
#include "expunge/tensor/tensor.hpp"

namespace expunge {

namespace detail {
template <class X>
void multiply(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b, typename X::value_type beta, const X& out,
              auto to) {
  require(!a.absent() && !b.absent() && !out.absent(), "matrix product: an operand or the result is absent");
  const index_t m = transpose_a ? a.cols() : a.rows();
  const index_t k = transpose_a ? a.rows() : a.cols();
  const index_t inner = transpose_b ? b.cols() : b.rows();
  const index_t n = transpose_b ? b.rows() : b.cols();
  require(k == inner && out.rows() == m && out.cols() == n, "matrix product of ", a.extents(), transpose_a ? "^T" : "", " and ",
          b.extents(), transpose_b ? "^T" : "", " into ", out.extents());
  X::template run<primitive::gemm>(transpose_a, transpose_b, m, n, k, alpha, a.operand(), b.operand(), beta, to);
}
}  // namespace detail

/// out = alpha * op(A) op(B) + beta * out, each read as a matrix of rows() x cols(); `out` shares no elements with a or b.
template <class X>
void gemm(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b, typename X::value_type beta,
          X& out) {
  detail::multiply(transpose_a, transpose_b, alpha, a, b, beta, out, out.mutable_data());
}

/// The same as a new tensor, made in the form that products read and in no other: for operations that accept operands.
template <class X>
X product_for_products(bool transpose_a, bool transpose_b, typename X::value_type alpha, const X& a, const X& b) {
  X out = X::for_products(shape{transpose_a ? a.cols() : a.rows(), transpose_b ? b.rows() : b.cols()});
  detail::multiply(transpose_a, transpose_b, alpha, a, b, 0, out, out.operand_to_write());
  return out;
}

/// y = x W^T + bias + onto: x [rows, in], weight [out, in], bias [out] for every row or absent, onto like y or absent. One primitive, so
/// that a device's product adds them itself.
template <class X>
void linear_into(const X& x, const X& weight, const X& bias, const X& onto, X& y) {
  require(!x.absent() && !weight.absent() && !y.absent(), "linear: the input, the weight or the output is absent");
  require(weight.extents().rank() == 2 && x.cols() == weight.cols(), "linear: input ", x.extents(), " for weight ", weight.extents());
  require(bias.absent() || bias.size() == weight.rows(), "linear: bias ", bias.extents(), " for weight ", weight.extents());
  require(y.rows() == x.rows() && y.cols() == weight.rows(), "linear: output ", y.extents(), " for input ", x.extents(), " and weight ",
          weight.extents());
  require(onto.absent() || onto.extents() == y.extents(), "linear: output ", y.extents(), " onto ", onto.extents());
  X::template run<primitive::linear>(x.rows(), weight.rows(), x.cols(), x.operand(), weight.operand(), bias.data(), onto.data(), y.mutable_data());
}

}  // namespace expunge
