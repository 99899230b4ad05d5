// A product with a bias on the host, by whatever multiplies.
#pragma once

#include "expunge/tensor/host/rows.hpp"

namespace expunge::host {

/// y = x W^T + bias: x [m, k], W [n, k], bias [n] for every row (null: none), y [m, n]. `multiply` takes gemm's arguments.
template <class Multiply, class T>
void linear(const Multiply& multiply, index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, T* y) {
  if (bias != nullptr) broadcast_row(bias, m, n, y);
  multiply(false, true, m, n, k, T{1}, x, w, bias != nullptr ? T{1} : T{0}, y);
}

}  // namespace expunge::host
