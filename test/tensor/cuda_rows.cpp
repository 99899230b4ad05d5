// The CUDA kernels' row arithmetic (norms, cross-entropy, sums, rotary) and functors, run by host threads, against the host kernels.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <expunge/attribution/functor.hpp>
#include <expunge/autodiff/functor.hpp>
#include <expunge/core/random.hpp>
#include <expunge/loss/functor.hpp>
#include <expunge/optim/functor.hpp>
#include <expunge/tensor/cuda/cross_entropy_rows.hpp>
#include <expunge/tensor/cuda/map_elements.hpp>
#include <expunge/tensor/cuda/norm_rows.hpp>
#include <expunge/tensor/cuda/row_operations.hpp>
#include <expunge/tensor/primitive.hpp>

#include "block_of_threads.hpp"
#include "../larger_error.hpp"

using namespace expunge;

namespace {

template <class T, class Block>
struct setting {
  using type = T;
  using block = Block;
};
using settings = boost::mpl::list<setting<double, testing::alone>, setting<float, testing::alone>, setting<double, testing::together>,
                                  setting<float, testing::together>>;
constexpr index_t rows = 9, cols = 23;

template <class T>
struct arrays {
  philox generator{11};
  std::vector<T> random(index_t size) {
    std::vector<T> made(static_cast<std::size_t>(size));
    for (T& x : made) x = static_cast<T>(standard_normal(generator));
    return made;
  }
};

template <class T>
void check(const std::vector<T>& found, const std::vector<T>& expected) {
  testing::check_beside_largest(found, expected, sizeof(T) == 4 ? T(1e-5) : T(1e-14));
}

/// Calls f(lanes, row) for every row, a block of threads each.
template <class S, class F>
void for_rows(index_t count, const F& f) {
  for (index_t r = 0; r < count; ++r) S::block::run([&](const auto& lanes) { f(lanes, r); });
}
template <class T, class Share>
void add_columns(const Share& share, std::vector<T>& to) {
  for (index_t r = 0; r < rows; ++r)
    for (index_t j = 0; j < cols; ++j) to[static_cast<std::size_t>(j)] += share(r, j);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_rows)

BOOST_AUTO_TEST_CASE_TEMPLATE(norms, S, settings) {
  using T = typename S::type;
  arrays<T> in;
  const auto x = in.random(rows * cols), w = in.random(cols), b = in.random(cols), dx = in.random(rows * cols), dw = in.random(cols);
  const auto db = in.random(cols), g = in.random(rows * cols), dg = in.random(rows * cols), start = in.random(rows * cols);
  for (const bool centred : {false, true}) {
    std::vector<T> y(x.size()), mean(rows), rstd(rows), found_y(x.size()), found_mean(rows), found_rstd(rows);
    if (centred) host::layer_norm(x.data(), w.data(), b.data(), T(1e-3), rows, cols, y.data(), mean.data(), rstd.data());
    else host::rms_norm(x.data(), w.data(), T(1e-3), rows, cols, y.data(), rstd.data());
    for_rows<S>(rows, [&](const auto& lanes, index_t r) {
      cuda::norm_forward(lanes, x.data(), w.data(), centred ? b.data() : nullptr, T(1e-3), r, cols, found_y.data(),
                         centred ? found_mean.data() : nullptr, found_rstd.data());
    });
    check(found_y, y);
    check(found_mean, mean);
    check(found_rstd, rstd);

    const T* const means = centred ? mean.data() : nullptr;
    auto x_bar = start, w_bar = b, b_bar = w, found_x = start, found_w = b, found_b = w;
    cuda::norm_arguments<T> n{cols, x.data(), w.data(), means, rstd.data(), nullptr, nullptr, nullptr, g.data(), nullptr};
    host::norm_pullback(x.data(), w.data(), means, rstd.data(), g.data(), rows, cols, x_bar.data(), w_bar.data(), b_bar.data());
    for_rows<S>(rows, [&](const auto& lanes, index_t r) { cuda::norm_pullback(lanes, n, r, found_x.data()); });
    add_columns(cuda::norm_weight_share<T>{n}, found_w);
    add_columns(cuda::matrix_share<T>{n.g, cols}, found_b);
    check(found_x, x_bar);
    check(found_w, w_bar);
    check(found_b, b_bar);

    for (const int present : {1, 2, 4, 15}) {
      n.dx = present & 1 ? dx.data() : nullptr, n.dw = present & 2 ? dw.data() : nullptr;
      n.dg = present & 4 ? dg.data() : nullptr, n.db = present & 8 ? db.data() : nullptr;
      host::norm_pushforward(x.data(), w.data(), means, rstd.data(), n.dx, n.dw, n.db, rows, cols, y.data());
      for_rows<S>(rows, [&](const auto& lanes, index_t r) { cuda::norm_pushforward(lanes, n, r, found_y.data()); });
      check(found_y, y);
      x_bar = found_x = start, w_bar = found_w = b;
      host::norm_pullback_tangent<T>(x.data(), w.data(), means, rstd.data(), n.dx, n.dw, g.data(), n.dg, rows, cols, x_bar.data(), w_bar.data(),
                                             nullptr);
      std::vector<cuda::projection<T>> projections(rows);
      for_rows<S>(rows, [&](const auto& lanes, index_t r) { cuda::norm_pullback_tangent(lanes, n, r, found_x.data(), projections.data()); });
      add_columns(cuda::norm_weight_tangent_share<T>{n, projections.data()}, found_w);
      check(found_x, x_bar);
      check(found_w, w_bar);
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(cross_entropies, S, settings) {
  using T = typename S::type;
  arrays<T> in;
  const std::vector<std::int32_t> labels{0, 22, 3, 3, 7, 1, 20, 11, 45};  // of a vocabulary of 46 in two ranges
  const auto dlabel = in.random(rows), beyond = in.random(rows), g = in.random(rows), dg = in.random(rows);
  for (const bool smooth : {false, true}) {
    const T smoothing = smooth ? T(0.1) : T(0), floor = smoothing / 46;
    std::vector<T> lse(rows), others(rows), label(rows), total(rows), out(rows * cols);
    auto found_lse = lse, found_others = lse, found_label = lse, found_total = lse, found = out;
    auto expected = lse, slope = lse, dtotal = lse, found_expected = lse, found_slope = lse, found_dtotal = lse;
    for (const index_t first : {index_t{0}, cols}) {
      const auto z = in.random(rows * cols), dz = in.random(rows * cols);
      const auto at = [&](const auto& lanes, index_t r) {
        return cuda::logit_row<T, std::remove_cvref_t<decltype(lanes)>>(lanes, z.data(), labels.data(), first, cols, r);
      };
      const auto each = [&](const auto& f) { for_rows<S>(rows, [&](const auto& lanes, index_t r) { f(at(lanes, r), size_t(r)); }); };
      host::softmax_statistics(z.data(), labels.data(), first, rows, cols, lse.data(), others.data(), label.data(), smooth ? total.data() : nullptr);
      each([&](const auto& row, std::size_t r) { row.statistics(&found_lse[r], &found_others[r], &found_label[r], smooth ? &found_total[r] : nullptr); });
      check(found_lse, lse), check(found_others, others), check(found_label, label), check(found_total, total);
      host::softmax_statistics_tangent(z.data(), labels.data(), first, lse.data(), dz.data(), rows, cols, expected.data(), slope.data(),
                                       smooth ? dtotal.data() : nullptr);
      each([&](const auto& row, std::size_t r) {
        row.statistics_tangent(lse[r], dz.data() + index_t(r) * cols, &found_expected[r], &found_slope[r], smooth ? &found_dtotal[r] : nullptr);
      });
      check(found_expected, expected), check(found_slope, slope), check(found_dtotal, dtotal);
      host::cross_entropy_pullback(z.data(), labels.data(), first, smoothing, floor, lse.data(), others.data(), g.data(), rows, cols, out.data());
      each([&](const auto& row, std::size_t r) { row.pullback(smoothing, floor, lse[r], others[r], g[r], &found[r * cols]); });
      check(found, out);
      for (const bool present : {false, true}) {
        host::cross_entropy_pullback_tangent(z.data(), labels.data(), first, smoothing, floor, lse.data(), others.data(), dz.data(), dlabel.data(),
                                             beyond.data(), g.data(), present ? dg.data() : nullptr, rows, cols, out.data());
        each([&](const auto& row, std::size_t r) {
          row.pullback_tangent(smoothing, floor, lse[r], others[r], dz.data() + index_t(r) * cols, dlabel[r], beyond[r], g[r], present ? dg[r] : T(0),
                               &found[r * cols]);
        });
        check(found, out);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(logits_of_minus_infinity, S, settings) {
  using T = typename S::type;
  arrays<T> in;
  const std::vector<std::int32_t> labels{45, 22, 3, 3, 7, 1, 20, 11, 45};
  std::vector<T> lse(rows), others(rows), label(rows), exact(rows);
  auto found_lse = lse, found_others = lse, found_label = lse;
  for (const index_t first : {index_t{0}, cols}) {
    auto z = in.random(rows * cols);
    for (index_t r = 0; r < rows; ++r)
      for (index_t j = 0; j < (r == 8 && first == 0 ? cols : 1); ++j) z[std::size_t(r * cols + j)] = -std::numeric_limits<T>::infinity();
    for (index_t r = 0; r < rows; ++r)
      for (index_t j = 0; j < cols; ++j)
        if (first + j != labels[std::size_t(r)]) exact[std::size_t(r)] += std::exp(z[std::size_t(r * cols + j)]);
    host::softmax_statistics<T>(z.data(), labels.data(), first, rows, cols, lse.data(), others.data(), label.data(), nullptr);
    for_rows<S>(rows, [&](const auto& lanes, index_t r) {
      const cuda::logit_row<T, std::remove_cvref_t<decltype(lanes)>> row(lanes, z.data(), labels.data(), first, cols, r);
      row.statistics(&found_lse[std::size_t(r)], &found_others[std::size_t(r)], &found_label[std::size_t(r)], nullptr);
    });
  }
  check(found_lse, lse), check(found_others, others), check(found_label, label);
  for (std::size_t r = 0; r < others.size(); ++r) others[r] *= std::exp(lse[r]);
  check(others, exact);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(movement_and_sums, S, settings) {
  using T = typename S::type;
  arrays<T> in;
  const auto values = in.random(rows * cols), other = in.random(rows * cols), few = in.random(4 * cols), start = in.random(rows * cols);
  const std::vector<std::int32_t> places{2, 0, 2, 1, 2, 0, 8, 8, 2}, offsets{0, 3, 3, 4, 9};
  auto expected = start, found = start;
  host::scatter_add_rows(values.data(), places.data(), rows, cols, expected.data());
  std::vector<std::int32_t> links(rows);
  for_rows<S>(rows, [&](const auto& lanes, index_t r) { cuda::link_row(lanes, places.data(), rows, r, links.data()); });
  for (index_t r = 0; r < rows; ++r)
    for (index_t j = 0; j < cols; ++j) cuda::scatter_column(values.data(), places.data(), links.data(), rows, cols, found.data(), r, j);
  check(found, expected);

  std::vector<T> sum(few), found_sum(few), largest(few.size()), found_largest(few.size()), smallest(few.size()), found_smallest(few.size());
  const auto columns = [&](const auto& f) {
    for (index_t s = 0; s < 4; ++s)
      for (index_t j = 0; j < cols; ++j) f(offsets[size_t(s)], offsets[size_t(s + 1)], j, size_t(s * cols + j));
  };
  host::segment_sum(values.data(), offsets.data(), 4, cols, sum.data());
  columns([&](index_t begin, index_t end, index_t j, std::size_t i) { cuda::segment_sum_column(values.data(), begin, end, cols, j, &found_sum[i]); });
  check(found_sum, sum);
  const auto slices = [](index_t j) { return j % 2 == 0 ? 1 : 3; };
  host::segment_products(values.data(), other.data(), offsets.data(), 4, cols, sum.data(), largest.data(), smallest.data());
  columns([&](index_t begin, index_t end, index_t j, std::size_t i) {
    cuda::column_products<T> of;
    for (int slice = 0; slice < slices(j); ++slice)
      of.add(cuda::segment_products_column(cuda::lane_of{slice, slices(j)}, values.data(), other.data(), begin, end, cols, j));
    found_sum[i] = of.sum, found_largest[i] = of.largest, found_smallest[i] = of.smallest;
  });
  check(found_sum, sum);
  check(found_largest, largest);
  check(found_smallest, smallest);
  expected = found = start;
  host::segment_multiply(few.data(), cols, values.data(), offsets.data(), 4, cols, expected.data());
  host::segment_broadcast(few.data(), offsets.data(), 4, cols, expected.data());
  for (const T* factor : {values.data(), static_cast<const T*>(nullptr)})
    columns([&](index_t begin, index_t end, index_t j, std::size_t i) {
      for (int slice = 0; slice < slices(j); ++slice)
        cuda::segment_multiply_column(cuda::lane_of{slice, slices(j)}, few[i], factor, begin, end, cols, j, found.data());
    });
  check(found, expected);

  double total = 0, found_total = 0;
  host::map_sum(rows * cols, functor::multiply{}, 1.0, &total, values.data(), other.data());
  for_rows<S>(1, [&](const auto& lanes, index_t) {
    const double part = cuda::map_sum_of(lanes, rows * cols, true, functor::multiply{}, values.data(), other.data());
    if (lanes.index() == 0) found_total = part;
  });
  BOOST_TEST(std::abs(total - found_total) <= (sizeof(T) == 4 ? 1e-5 : 1e-12));
  total = 0;
  const functor::parameter_penalty<T> penalty{{false, T(0.3)}};
  auto previous = start, gradient = start, found_previous = start, found_gradient = start;
  host::map_sum(rows * cols, penalty, 1.0, &total, previous.data(), gradient.data(), values.data(), other.data());
  for_rows<S>(1, [&](const auto& lanes, index_t) {
    const double part = cuda::map_sum_of(lanes, rows * cols, true, penalty, found_previous.data(), found_gradient.data(), values.data(), other.data());
    if (lanes.index() == 0) found_total = part;
  });
  BOOST_TEST(std::abs(total - found_total) <= (sizeof(T) == 4 ? 1e-5 : 1e-12));
  check(found_previous, previous);
  check(found_gradient, gradient);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(rotary_positions, S, settings) {
  using T = typename S::type;
  arrays<T> in;
  const std::vector<std::int32_t> positions{0, 1, 2, 0, 3};
  const auto compare = [&]<int Count>(std::integral_constant<int, Count>, index_t dim) {
    const index_t pairs = 3 * dim / 2;
    const auto x = in.random(5 * 3 * dim), cosines = in.random(2 * dim), sines = in.random(2 * dim), start = in.random(5 * 3 * dim);
    for (const bool transpose : {false, true})
      for (const bool accumulate : {false, true}) {
        auto y = start, found = start;
        host::rotary(x.data(), positions.data(), cosines.data(), sines.data(), 5, 3, dim, transpose, y.data(), accumulate);
        for (index_t i = 0; i < 5 * pairs; i += Count)
          cuda::rotary_pairs<Count>(x.data(), positions.data(), cosines.data(), sines.data(), 3, dim, transpose ? T(-1) : T(1), found.data(), accumulate,
                                    i / pairs, i % pairs);
        check(found, y);
      }
  };
  compare(std::integral_constant<int, 1>{}, 6);
  compare(std::integral_constant<int, 2>{}, 8);
}

namespace {

template <class T>
struct compare_functor {
  arrays<T> in;

  /// f over numbers against f over batches; `count` arrays, all of which may be written; of one sign for positive ones.
  template <class F, std::size_t... I>
  void run(const F& f, std::index_sequence<I...>, bool positive) {
    std::vector<std::vector<T>> batches;
    for (std::size_t i = 0; i < sizeof...(I); ++i) {
      batches.push_back(in.random(37));
      if (positive)
        for (T& x : batches.back()) x = std::abs(x);
    }
    auto numbers = batches;
    host::map(37, f, batches[I].data()...);
    for (std::size_t i = 0; i < 37; ++i) f(numbers[I][i]...);
    (check(numbers[I], batches[I]), ...);
  }
  template <std::size_t Count, class F>
  void writes(const F& f, bool positive = false) {
    run(f, std::make_index_sequence<Count>{}, positive);
  }
  template <std::size_t Count, class F>
  void gives(const F& f, bool positive = false) {
    writes<Count + 1>(functor::assign{f}, positive);
    writes<Count + 1>(functor::accumulate{f}, positive);
  }
  template <class F>
  void unary(bool positive = false) {
    gives<1>(functor::value<F>{}, positive);
    gives<2>(functor::slope_product<F>{}, positive);
    gives<4>(functor::slope_product_tangent<F>{}, positive);
  }
  template <class F>
  void gated() {
    gives<2>(functor::value_product<F>{});
    gives<4>(functor::value_product_tangent<F>{});
    gives<4>(functor::gated_pushforward<F>{});
    gives<3>(functor::gated_pullback<F>{});
    gives<6>(functor::gated_pullback_tangent<F>{});
  }
};

}  // namespace

using numbers = boost::mpl::list<float, double>;
BOOST_AUTO_TEST_CASE_TEMPLATE(functors_agree_on_numbers_and_batches, T, numbers) {
  compare_functor<T> c;
  c.template writes<1>(functor::fill<T>{T(3)});
  c.template writes<1>(functor::scale<T>{T(3)});
  c.template writes<2>(functor::axpy<T>{T(3)});
  c.template gives<1>(functor::copy{});
  c.template gives<1>(functor::negate{});
  c.template gives<2>(functor::add{});
  c.template gives<2>(functor::subtract{});
  c.template gives<2>(functor::multiply{});
  c.template writes<2>(functor::sgd<T>{T(0.1), T(0.5), T(0.2)});
  c.template writes<3>(functor::sgd_momentum<T>{T(0.1), T(0.5), T(0.2), T(0.9)});
  c.template writes<4>(functor::adamw<T>{T(0.9), T(0.5), T(0.9), T(0.8), T(0.1), T(0.2), T(0.3), T(1.5), T(1e-3)}, true);
  c.template gives<1>(functor::joint_probability{});
  c.template gives<1>(functor::measured_slope{true});
  c.template gives<1>(functor::measured_slope{false});
  c.template gives<3>(functor::second_seed{});
  for (const bool squared : {false, true}) {
    c.template writes<2>(functor::growth_penalty<T>{squared, T(0.3)});
    c.template writes<3>(functor::growth_penalty<T>{squared, T(0.3)});
  }
  c.template gives<1>(functor::affine<T>{T(2), T(3)});
  c.template gives<1>(functor::product_with<T>{T(2)});
  c.template gives<2>(functor::combination<T>{T(2), T(3), T(4)});
  c.template unary<function::relu>();
  c.template unary<function::tanh>();
  c.template unary<function::sigmoid>();
  c.template unary<function::log_sigmoid>();
  c.template unary<function::exp>();
  c.template unary<function::log>(true);
  c.template unary<function::silu>();
  c.template unary<function::gelu>();
  c.template unary<function::gelu_tanh>();
  c.template gated<function::silu>();
  c.template gated<function::identity>();
}

BOOST_AUTO_TEST_CASE_TEMPLATE(threads_share_elements, T, numbers) {
  arrays<T> in;
  for (const index_t size : {0, 1, 3, 4, 5, 16, 101})
    for (const bool packed : {false, true}) {
      const index_t before = packed ? 16 / static_cast<index_t>(sizeof(T)) : 1, all = size + 2 * before;
      alignas(16) std::array<T, 200> a{}, b{};  // what lies before and behind is not touched
      const auto x = in.random(all), y = in.random(all);
      std::copy(x.begin(), x.end(), a.begin());
      std::copy(y.begin(), y.end(), b.begin());
      for (index_t thread = 0; thread < 3; ++thread)
        cuda::map_elements(thread, 3, size, packed, functor::axpy<T>{T(2)}, a.data() + before, static_cast<const T*>(b.data() + before));
      bool same = true;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const bool inside = static_cast<index_t>(i) >= before && static_cast<index_t>(i) < before + size;
        same = same && a[i] == (inside ? x[i] + T(2) * y[i] : x[i]) && b[i] == y[i];
      }
      BOOST_TEST(same, "size " << size << (packed ? ", packed" : ""));
    }
}

BOOST_AUTO_TEST_CASE(elements_are_written_in_bfloat16) {
  arrays<float> in;
  const auto same = [](cuda::bfloat16 found, float x) { return found.bits == bf16_from_float(x); };
  for (const index_t size : {1, 4, 7, 101})
    for (const bool packed : {false, true}) {
      const index_t before = packed ? 4 : 1;
      alignas(16) std::array<float, 200> w{};
      alignas(16) std::array<cuda::bfloat16, 200> kept{}, alone{};
      const auto x = in.random(size);
      std::copy(x.begin(), x.end(), w.begin() + before);
      for (index_t thread = 0; thread < 3; ++thread) {  // w *= 3 and w once more; w + w alone
        cuda::map_elements(thread, 3, size, packed, functor::along<functor::scale<float>>{{3}}, kept.data() + before, w.data() + before);
        const float *const a = w.data() + before;
        cuda::map_elements(thread, 3, size, packed, functor::assign<functor::add>{}, alone.data() + before, a, a);
      }
      bool right = true;
      for (std::size_t i = 0; i < kept.size(); ++i) {
        const bool inside = static_cast<index_t>(i) >= before && static_cast<index_t>(i) < before + size;
        const float value = inside ? 3 * x[i - static_cast<std::size_t>(before)] : 0;
        right = right && w[i] == value && same(kept[i], value) && same(alone[i], inside ? value + value : 0);
      }
      BOOST_TEST(right, "size " << size << (packed ? ", packed" : ""));
    }

  const auto x = in.random(rows * cols), weight = in.random(cols);
  std::vector<float> y(x.size()), rstd(rows);
  std::vector<cuda::bfloat16> rounded(x.size());
  const cuda::serial_lanes one;
  for (index_t r = 0; r < rows; ++r) {
    cuda::norm_forward(one, x.data(), weight.data(), static_cast<const float*>(nullptr), 1e-3F, r, cols, y.data(), static_cast<float*>(nullptr), rstd.data());
    cuda::norm_forward(one, x.data(), weight.data(), static_cast<const float*>(nullptr), 1e-3F, r, cols, rounded.data(), static_cast<float*>(nullptr), rstd.data());
  }
  BOOST_TEST(std::ranges::equal(rounded, y, same));
}

BOOST_AUTO_TEST_SUITE_END()
