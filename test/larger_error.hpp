// The worst of many errors.
#pragma once

#include <cmath>

namespace expunge::testing {

/// The larger one. NaN, which a comparison would let pass, is the largest and stays.
template <class T>
T larger_error(T worst, T error) {
  return std::isnan(worst) || error <= worst ? worst : error;
}

}  // namespace expunge::testing
