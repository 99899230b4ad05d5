// Zero-copy bridges between host tensors and Eigen.
#pragma once

#include <Eigen/Core>

#include "expunge/tensor/tensor.hpp"

namespace expunge {

template <class T>
using eigen_matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The tensor as a matrix of rows() x cols(), sharing its elements. The tensor must outlive the map.
template <class T>
Eigen::Map<const eigen_matrix<T>> as_eigen(const tensor<T>& x) {
  return {x.data(), x.absent() ? 0 : x.rows(), x.absent() ? 0 : x.cols()};
}
template <class T>
Eigen::Map<eigen_matrix<T>> as_eigen(tensor<T>& x) {
  return {x.mutable_data(), x.absent() ? 0 : x.rows(), x.absent() ? 0 : x.cols()};
}

/// A tensor [rows, cols] that shares the elements of a row-major Eigen matrix, which must outlive it.
template <class T, int Rows, int Cols, int MaxRows, int MaxCols>
tensor<T> from_eigen(Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor, MaxRows, MaxCols>& m) {
  return tensor<T>::view({m.rows(), m.cols()}, host_storage<T>::view(m.data()));
}

}  // namespace expunge
