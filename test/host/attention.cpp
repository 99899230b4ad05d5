// Attention kernels against plain loops, central differences and each other.
#include "expunge/tensor/host/attention.hpp"

#include "finite_difference.hpp"

namespace {

using expunge::index_t;
using expunge_test::arrays;
using expunge_test::pointer;
using expunge_test::values;

template <class T>
struct attention_operation {
  index_t heads, kv_heads, dim;
  std::vector<std::int32_t> lengths, pasts = std::vector<std::int32_t>(lengths.size());  // rows, and keys without a row, of each example

  [[nodiscard]] std::vector<std::int32_t> offsets() const {
    std::vector<std::int32_t> made{0};
    for (const std::int32_t length : lengths) made.push_back(made.back() + length);
    return made;
  }
  [[nodiscard]] std::vector<std::int32_t> key_offsets() const {
    std::vector<std::int32_t> made{0};
    for (std::size_t e = 0; e < lengths.size(); ++e) made.push_back(made.back() + pasts[e] + lengths[e]);
    return made;
  }
  [[nodiscard]] expunge::attention_shape shape() const {
    return {static_cast<index_t>(lengths.size()), heads, kv_heads, dim, offsets().back(), key_offsets().back()};
  }
  [[nodiscard]] T scale() const { return T{1} / std::sqrt(static_cast<T>(dim)); }
  [[nodiscard]] std::vector<std::size_t> sizes() const {
    const auto keys = static_cast<std::size_t>(key_offsets().back() * kv_heads * dim);
    return {static_cast<std::size_t>(offsets().back() * heads * dim), keys, keys};
  }
  values<T> value(const arrays<T>& in, values<T>& lse) const {
    values<T> out(sizes()[0]);
    lse.resize(static_cast<std::size_t>(offsets().back() * heads));
    expunge::host::attention<T>(shape(), offsets().data(), key_offsets().data(), in[0].data(), in[1].data(), in[2].data(), scale(), out.data(),
                                lse.data());
    return out;
  }
  [[nodiscard]] values<T> value(const arrays<T>& in) const {
    values<T> lse;
    return value(in, lse);
  }
  values<T> pushforward(const arrays<T>& in, const arrays<T>& din, values<T>& dlse) const {
    values<T> lse;
    const auto out = value(in, lse);
    auto dout = out;
    dlse = lse;
    expunge::host::attention_pushforward<T>(shape(), offsets().data(), key_offsets().data(), in[0].data(), in[1].data(), in[2].data(), scale(),
                                            out.data(), lse.data(), pointer(din[0]), pointer(din[1]), pointer(din[2]),
                                            dout.data(), dlse.data());
    return dout;
  }
  [[nodiscard]] values<T> pushforward(const arrays<T>& in, const arrays<T>& din) const {
    values<T> dlse;
    return pushforward(in, din, dlse);
  }
  void pullback(const arrays<T>& in, const values<T>& out_bar, arrays<T>& bars) const {
    values<T> lse;
    const auto out = value(in, lse);
    expunge::host::attention_pullback<T>(shape(), offsets().data(), key_offsets().data(), in[0].data(), in[1].data(), in[2].data(), scale(), out.data(),
                                         lse.data(), out_bar.data(), pointer(bars[0]), pointer(bars[1]), pointer(bars[2]));
  }
  void pullback_tangent(const arrays<T>& in, const arrays<T>& din, const values<T>& out_bar, const values<T>& dout_bar,
                        arrays<T>& dbars) const {
    values<T> lse, dlse;
    const auto out = value(in, lse), dout = pushforward(in, din, dlse);
    expunge::host::attention_pullback_tangent<T>(shape(), offsets().data(), key_offsets().data(), in[0].data(), in[1].data(), in[2].data(), scale(),
                                                 out.data(), lse.data(), pointer(din[0]), pointer(din[1]), pointer(din[2]),
                                                 dout.data(), dlse.data(), out_bar.data(), pointer(dout_bar), pointer(dbars[0]), pointer(dbars[1]),
                                                 pointer(dbars[2]));
  }
};

// The definition, one score at a time; also fills lse.
values<double> plain_attention(const attention_operation<double>& op, const arrays<double>& in, values<double>& lse) {
  const auto offsets = op.offsets(), keys = op.key_offsets();
  const auto at = [&](const values<double>& x, index_t row, index_t heads, index_t head, index_t j) {
    return x[static_cast<std::size_t>((row * heads + head) * op.dim + j)];
  };
  values<double> out(op.sizes()[0]);
  lse.assign(static_cast<std::size_t>(offsets.back() * op.heads), 0);
  for (std::size_t e = 0; e < op.lengths.size(); ++e)
    for (index_t t = offsets[e]; t < offsets[e + 1]; ++t)
      for (index_t h = 0; h < op.heads; ++h) {
        const index_t g = h / (op.heads / op.kv_heads);
        double sum = 0;
        for (index_t s = keys[e]; s <= t - offsets[e + 1] + keys[e + 1]; ++s) {
          double score = 0;
          for (index_t j = 0; j < op.dim; ++j) score += at(in[0], t, op.heads, h, j) * at(in[1], s, op.kv_heads, g, j);
          const double weight = std::exp(score * op.scale());
          sum += weight;
          for (index_t j = 0; j < op.dim; ++j)
            out[static_cast<std::size_t>((t * op.heads + h) * op.dim + j)] += weight * at(in[2], s, op.kv_heads, g, j);
        }
        for (index_t j = 0; j < op.dim; ++j) out[static_cast<std::size_t>((t * op.heads + h) * op.dim + j)] /= sum;
        lse[static_cast<std::size_t>(t * op.heads + h)] = std::log(sum);
      }
  return out;
}

const std::vector<std::int32_t> ragged{1, 5, 0, 17, 70}, pasts{0, 70, 3, 1, 20};

}  // namespace

BOOST_AUTO_TEST_SUITE(host_attention)

BOOST_AUTO_TEST_CASE(value_is_the_plain_loop) {
  for (const auto& op : {attention_operation<double>{1, 1, 1, ragged}, {3, 3, 8, ragged}, {6, 2, 20, ragged}, {6, 2, 20, ragged, pasts}}) {
    const auto in = expunge_test::random_arrays<double>(op.sizes(), 7);
    values<double> lse;
    values<double> expected_lse;
    const auto out = op.value(in, lse);
    BOOST_TEST(expunge_test::difference(out, plain_attention(op, in, expected_lse)) < 1e-12);
    BOOST_TEST(expunge_test::difference(lse, expected_lse) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(derivatives_nulls_accumulation_threads_and_float) {
  expunge_test::check_operation<attention_operation>(index_t{4}, index_t{2}, index_t{6}, ragged);
  expunge_test::check_operation<attention_operation>(index_t{2}, index_t{2}, index_t{16}, ragged);
  expunge_test::check_operation<attention_operation>(index_t{4}, index_t{2}, index_t{6}, ragged, pasts);
  expunge_test::check_operation<attention_operation>(index_t{3}, index_t{1}, index_t{1}, std::vector<std::int32_t>{1});
}

BOOST_AUTO_TEST_CASE(large_scores_do_not_overflow) {
  const attention_operation<float> op{1, 1, 1, {2}};
  const arrays<float> in{{1000, 1000}, {10, 1}, {3, 5}};
  const auto out = op.value(in);
  BOOST_TEST(out[0] == 3.0F);
  BOOST_TEST(out[1] == 3.0F);
}

BOOST_AUTO_TEST_CASE(a_row_does_not_depend_on_later_rows) {
  const attention_operation<double> op{2, 1, 8, {70}};
  auto in = expunge_test::random_arrays<double>(op.sizes(), 7);
  const auto before = op.value(in);
  for (std::size_t j = 0; j < 8; ++j) in[1][69 * 8 + j] = in[2][69 * 8 + j] = 1e3;
  const auto after = op.value(in);
  BOOST_TEST(std::equal(before.begin(), before.begin() + 69 * 16, after.begin()));
  BOOST_TEST(!std::equal(before.begin() + 69 * 16, before.end(), after.begin() + 69 * 16));
}

BOOST_AUTO_TEST_CASE(queries_behind_a_past_are_the_last_rows_of_the_whole) {
  const std::vector<std::int32_t> past{0, 3, 20, 70, 5, 0};  // rows of each example that have keys alone; the fifth has no others
  const attention_operation<double> op{6, 2, 20, {4, 5, 90, 71, 5, 0}};
  const auto in = expunge_test::random_arrays<double>(op.sizes(), 7);
  values<double> expected_lse;
  const auto expected = op.value(in, expected_lse);
  std::vector<std::int32_t> offsets{0};
  values<double> q, out_of_whole, lse_of_whole;
  const auto take = [](const values<double>& from, std::size_t row, std::size_t cols, values<double>& to) {
    to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(row * cols), from.begin() + static_cast<std::ptrdiff_t>((row + 1) * cols));
  };
  for (std::size_t e = 0; e < past.size(); ++e) {
    for (auto row = static_cast<std::size_t>(op.offsets()[e] + past[e]); row < static_cast<std::size_t>(op.offsets()[e + 1]); ++row) {
      take(in[0], row, 120, q);
      take(expected, row, 120, out_of_whole);
      take(expected_lse, row, 6, lse_of_whole);
    }
    offsets.push_back(static_cast<std::int32_t>(q.size() / 120));
  }
  const auto run = [&](std::size_t threads) {
    expunge::thread_pool::instance().set_threads(threads);
    values<double> out(q.size()), lse(q.size() / 20);
    expunge::host::attention<double>({6, 6, 2, 20, offsets.back()}, offsets.data(), op.offsets().data(), q.data(), in[1].data(),
                                     in[2].data(), op.scale(), out.data(), lse.data());
    BOOST_TEST(expunge_test::difference(out, out_of_whole) < 1e-12);
    BOOST_TEST(expunge_test::difference(lse, lse_of_whole) < 1e-12);
    return out;
  };
  BOOST_TEST((run(1) == run(2)));
}

BOOST_AUTO_TEST_CASE(a_sequence_of_1024) {
  const auto low = expunge_test::run_all<float>(attention_operation<float>{2, 1, 64, {1024}});
  const auto high = expunge_test::run_all<double>(attention_operation<double>{2, 1, 64, {1024}});
  BOOST_TEST(expunge_test::difference(low.value, high.value) < 1e-4);
  BOOST_TEST(expunge_test::difference(low.dy, high.dy) < 1e-4);
  BOOST_TEST(expunge_test::difference(expunge_test::joined(low.bars), expunge_test::joined(high.bars)) < 1e-4);
  BOOST_TEST(expunge_test::difference(expunge_test::joined(low.dbars), expunge_test::joined(high.dbars)) < 1e-4);
}

BOOST_AUTO_TEST_SUITE_END()
