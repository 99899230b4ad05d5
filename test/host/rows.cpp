// Movement and sums of rows against plain loops, of so many rows and columns that every kernel has several blocks.
#include "expunge/tensor/host/rows.hpp"

#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::values;

constexpr index_t rows = 200, cols = 301, places = 7;

std::size_t at(index_t row, index_t col) { return static_cast<std::size_t>(row * cols + col); }

}  // namespace

BOOST_AUTO_TEST_SUITE(host_rows)

BOOST_AUTO_TEST_CASE(are_the_plain_loops) {
  const auto x = expunge_test::random_values<double>(rows * cols, 1), factor = expunge_test::random_values<double>(rows, 2),
             start = expunge_test::random_values<double>(rows * cols, 3);
  std::vector<std::int32_t> to(rows);
  for (index_t r = 0; r < rows; ++r) to[static_cast<std::size_t>(r)] = static_cast<std::int32_t>(r * r % places);
  values<double> gathered(x.size()), scaled(x.size()), scattered(start.begin(), start.begin() + places * cols), sums(start.begin(), start.begin() + cols);
  auto expected_gathered = gathered, expected_scaled = scaled, expected_scattered = scattered, expected_sums = sums;
  for (index_t r = 0; r < rows; ++r)
    for (index_t j = 0; j < cols; ++j) {
      const index_t place = to[static_cast<std::size_t>(r)];
      expected_gathered[at(r, j)] = x[at(place, j)];
      expected_scaled[at(r, j)] = x[at(r, j)] * factor[static_cast<std::size_t>(r)];
      expected_scattered[at(place, j)] += x[at(r, j)];
      expected_sums[at(0, j)] += x[at(r, j)];
    }
  expunge::host::gather_rows(x.data(), to.data(), rows, cols, gathered.data());
  expunge::host::scale_rows(x.data(), factor.data(), rows, cols, scaled.data());
  expunge::host::scatter_add_rows(x.data(), to.data(), rows, cols, scattered.data());
  expunge::host::column_sum(x.data(), rows, cols, sums.data());
  BOOST_TEST((gathered == expected_gathered));
  BOOST_TEST((scaled == expected_scaled));
  BOOST_TEST((scattered == expected_scattered));
  BOOST_TEST((sums == expected_sums));
}

BOOST_AUTO_TEST_SUITE_END()
