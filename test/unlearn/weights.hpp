// A model's weights as one vector, and how far two such are apart.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <expunge/nn/parameter_tree.hpp>

namespace expunge::testing {

template <class M>
std::vector<double> flat(const M& m) {
  std::vector<double> out;
  for (const auto& p : nn::parameters(m))
    for (const auto v : p.to_vector()) out.push_back(static_cast<double>(v));
  return out;
}

/// The norm of the difference over the norm of b.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), size += b[i] * b[i];
  return std::sqrt(difference / size);
}

}  // namespace expunge::testing
