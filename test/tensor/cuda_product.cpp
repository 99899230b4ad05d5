// How a product by rows is told to cuBLAS, which reads by columns: a plain product by columns of what it is told gives the same as
// the host's product by rows.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include <expunge/core/random.hpp>
#include <expunge/tensor/cuda/column_product.hpp>
#include <expunge/tensor/primitive.hpp>

#include "../larger_error.hpp"

using namespace expunge;

BOOST_AUTO_TEST_SUITE(cuda_product)

BOOST_AUTO_TEST_CASE(by_columns_is_the_product_by_rows) {
  philox generator(3);
  const auto random = [&](index_t size) {
    std::vector<double> made(static_cast<std::size_t>(size));
    for (double& x : made) x = standard_normal(generator);
    return made;
  };
  for (const auto& [m, n, k] : {std::array<index_t, 3>{5, 7, 3}, {4, 4, 9}, {1, 6, 2}, {6, 1, 2}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const auto a = random(m * k), b = random(k * n), bias = random(n);
        std::vector<double> expected(static_cast<std::size_t>(m * n)), found(expected.size());
        host::broadcast_row(bias.data(), m, n, expected.data());
        host::gemm(ta, tb, m, n, k, 1.0, a.data(), b.data(), 1.0, expected.data());

        const cuda::column_product p(ta, tb, m, n, k);  // as cublasLtMatmul does it, with a bias of the output's rows
        const auto at = [](const std::vector<double>& from, const cuda::column_matrix& stored, bool transposed, index_t row, index_t col) {
          if (transposed) std::swap(row, col);
          BOOST_TEST_REQUIRE((row < stored.rows && col < stored.cols));
          return from[static_cast<std::size_t>(col * stored.rows + row)];
        };
        const index_t inner = p.transpose_left ? p.left.rows : p.left.cols;
        for (index_t i = 0; i < p.out.rows; ++i)
          for (index_t j = 0; j < p.out.cols; ++j) {
            double sum = bias[static_cast<std::size_t>(i)];
            for (index_t l = 0; l < inner; ++l) sum += at(b, p.left, p.transpose_left, i, l) * at(a, p.right, p.transpose_right, l, j);
            found[static_cast<std::size_t>(j * p.out.rows + i)] = sum;
          }
        double worst = 0;
        for (std::size_t i = 0; i < found.size(); ++i) worst = testing::larger_error(worst, std::abs(found[i] - expected[i]));
        BOOST_TEST(worst < 1e-13);
      }
}

BOOST_AUTO_TEST_SUITE_END()
