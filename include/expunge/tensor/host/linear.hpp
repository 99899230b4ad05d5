// A product with what is added to it on the host, by whatever multiplies.
#pragma once

#include "expunge/tensor/functor.hpp"
#include "expunge/tensor/host/map.hpp"
#include "expunge/tensor/host/rows.hpp"

namespace expunge::host {

/// y = x W^T + bias + onto: x [m, k], W [n, k], bias [n] for every row, onto and y [m, n]; nulls are zeros. `multiply` takes gemm's arguments.
template <class Multiply, class T>
void linear(const Multiply& multiply, index_t m, index_t n, index_t k, const T* x, const T* w, const T* bias, const T* onto, T* y) {
  if (bias != nullptr) broadcast_row(bias, m, n, y);
  multiply(false, true, m, n, k, T{1}, x, w, bias != nullptr ? T{1} : T{0}, y);
  if (onto != nullptr) map(m * n, functor::accumulate{functor::copy{}}, y, onto);
}

}  // namespace expunge::host
