// Handles, views, products against a plain loop, pooled memory, and the bridges to Eigen and xtensor.
#include <boost/test/unit_test.hpp>

#include <limits>

#include <expunge/core/random.hpp>
#include <expunge/core/thread_pool.hpp>
#include <expunge/optim/functor.hpp>
#include <expunge/tensor/eigen.hpp>
#include <expunge/tensor/math.hpp>
#include <expunge/tensor/xtensor.hpp>

#include "../storages.hpp"
#include "../address_space_limit.hpp"
#include "../larger_error.hpp"

using namespace expunge;
using all = testing::tensors;
namespace {
const auto each = boost::test_tools::per_element();

template <class X>
X random(const shape& extents, std::uint64_t seed) {
  philox generator(seed);
  std::vector<typename X::value_type> values(static_cast<std::size_t>(extents.size()));
  for (auto& v : values) v = static_cast<typename X::value_type>(standard_normal(generator));
  return X(extents, values);
}
}  // namespace

BOOST_AUTO_TEST_SUITE(tensors)

BOOST_AUTO_TEST_CASE_TEMPLATE(handles_and_views, X, all) {
  using T = typename X::value_type;
  const X absent;
  BOOST_TEST(absent.absent());
  BOOST_TEST(absent.size() == 0);
  X x(shape{3, 2}, std::vector<T>{1, 2, 3, 4, 5, 6});
  BOOST_TEST(x.unique());
  X row = x.slice(1, 2);
  BOOST_TEST(!x.unique());
  fill(row, T(9));
  BOOST_TEST(x.to_vector() == (std::vector<T>{1, 2, 9, 9, 5, 6}), each);
  BOOST_TEST(x.reshaped({2, 3}).slice(1, 2).to_vector() == (std::vector<T>{9, 5, 6}), each);
  BOOST_TEST(clone(x).unique());
  BOOST_TEST(x.slice(1, 3).slice(1, 2).to_vector() == (std::vector<T>{5, 6}), each);
  BOOST_CHECK_THROW(static_cast<void>(x.slice(2, 4)), error);
  BOOST_CHECK_THROW(static_cast<void>(x.slice(-1, 2)), error);
  BOOST_CHECK_THROW(static_cast<void>(x.slice(2, 1)), error);
  std::vector<T> five(5);
  BOOST_CHECK_THROW(x.upload(five), error);
  BOOST_CHECK_THROW(x.download(five), error);
  BOOST_CHECK_THROW(static_cast<void>(x.reshaped({4})), error);
  BOOST_CHECK_THROW(X(shape{2}, std::vector<T>{1}), error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(elements_of_other_sizes_are_refused, X, all) {
  auto two = zeros<X>({2}), three = zeros<X>({3});
  BOOST_CHECK_THROW(mapped(functor::add{}, two, three), error);
  BOOST_CHECK_THROW(axpy(two, 1, three), error);
  BOOST_CHECK_THROW(static_cast<void>(inner_product(two, three)), error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(products_of_every_form, X, all) {
  using T = typename X::value_type;
  const T tolerance = sizeof(T) == 4 ? T(1e-4) : T(1e-12);
  for (const auto& [m, n, k] : {std::array<index_t, 3>{5, 7, 3}, {130, 17, 64}, {3, 300, 20}, {1, 1, 1}, {2, 3, 0}, {200, 180, 190}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const X a = random<X>(ta ? shape{k, m} : shape{m, k}, 1), b = random<X>(tb ? shape{n, k} : shape{k, n}, 2);
        X c = random<X>({m, n}, 3);
        const auto before = c.to_vector();
        gemm(ta, tb, T(0.5), a, b, T(2), c);
        const auto av = a.to_vector(), bv = b.to_vector(), cv = c.to_vector();
        T worst = 0;
        for (index_t i = 0; i < m; ++i)
          for (index_t j = 0; j < n; ++j) {
            double sum = 0;
            for (index_t l = 0; l < k; ++l)
              sum += double(av[size_t(ta ? l * m + i : i * k + l)]) * double(bv[size_t(tb ? j * k + l : l * n + j)]);
            const T error = std::abs(cv[size_t(i * n + j)] - T(0.5 * sum + 2 * double(before[size_t(i * n + j)])));
            worst = testing::larger_error(worst, error);
          }
        BOOST_TEST(worst <= tolerance);
      }
  X wrong(shape{2, 2});
  for (const auto& [a, b] : {std::pair<shape, shape>{{2, 3}, {2, 2}}, {{3, 3}, {3, 2}}, {{1, 3}, {3, 2}}, {{2, 3}, {3, 3}}, {{2, 3}, {3, 1}}})
    BOOST_CHECK_THROW(gemm(false, false, T(1), X(a), X(b), T(0), wrong), error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(products_with_what_is_added, X, all) {
  using T = typename X::value_type;
  for (const auto& [m, n, k] : {std::array<index_t, 3>{5, 7, 3}, {130, 17, 64}, {1, 40, 20}, {9, 1, 8}, {4, 6, 0}}) {
    const X x = random<X>({m, k}, 1), w = random<X>({n, k}, 2), bias = random<X>({n}, 3), onto = random<X>({m, n}, 5);
    X product(shape{m, n}), sum = random<X>({m, n}, 4), without = random<X>({m, n}, 4), all_of_it = random<X>({m, n}, 4), no_bias(shape{m, n});
    gemm(false, true, T(1), x, w, T(0), product);
    linear_into(x, w, bias, X{}, sum);
    linear_into(x, w, X{}, X{}, without);
    linear_into(x, w, bias, onto, all_of_it);
    linear_into(x, w, X{}, onto, no_bias);
    const auto p = product.to_vector(), s = sum.to_vector(), b = bias.to_vector(), o = onto.to_vector(), a = all_of_it.to_vector(), l = no_bias.to_vector();
    T worst = 0;
    for (index_t i = 0; i < m * n; ++i) {
      const T with_bias = p[size_t(i)] + b[size_t(i % n)];
      for (const T error : {s[size_t(i)] - with_bias, a[size_t(i)] - (with_bias + o[size_t(i)]), l[size_t(i)] - (p[size_t(i)] + o[size_t(i)])})
        worst = std::abs(error) <= worst ? worst : std::abs(error);
    }
    BOOST_TEST(worst <= (sizeof(T) == 4 ? T(1e-5) : T(1e-13)));
    BOOST_TEST((without.to_vector() == p));
  }
  X y(shape{2, 3}), small(shape{2, 2}), other(shape{3, 2}), more_rows(shape{4, 3}), column(shape{2, 1});
  const X x(shape{2, 4}), w(shape{3, 4});
  BOOST_CHECK_THROW(linear_into(x, X(shape{3, 5}), X{}, X{}, y), error);
  BOOST_CHECK_THROW(linear_into(x, w, X(shape{2}), X{}, y), error);
  BOOST_CHECK_THROW(linear_into(x, w, X{}, X{}, small), error);
  BOOST_CHECK_THROW(linear_into(x, w, X{}, X{}, more_rows), error);
  BOOST_CHECK_THROW(linear_into(x, X(shape{4}), X{}, X{}, column), error);
  BOOST_CHECK_THROW(linear_into(x, w, X{}, small, y), error);
  BOOST_CHECK_THROW(linear_into(x, w, X{}, other, y), error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sums_do_not_depend_on_the_number_of_threads, X, all) {
  const X a = random<X>({300001}, 4), b = random<X>({300001}, 5);
  const X left = random<X>({257, 300}, 6), right = random<X>({300, 301}, 7);
  std::vector<double> dots;
  std::vector<std::vector<typename X::value_type>> products;
  for (const std::size_t threads : {1U, 2U, 3U}) {
    thread_pool::instance().set_threads(threads);
    dots.push_back(inner_product(a, b));
    X c(shape{257, 301});
    gemm(false, false, 1, left, right, 0, c);
    products.push_back(c.to_vector());
  }
  thread_pool::instance().set_threads(2);
  BOOST_TEST((dots[0] == dots[1] && dots[1] == dots[2]));
  BOOST_TEST((products[0] == products[1] && products[1] == products[2]));
}

BOOST_AUTO_TEST_CASE_TEMPLATE(sums_gather, X, all) {
  const X a({3}, std::vector<typename X::value_type>{1, 2, 3}), b({3}, std::vector<typename X::value_type>{1, 0, 5});
  auto total = zeros<device_sum<X>>(shape{1});
  add_map_sum(total, 1, functor::multiply{}, a, b);
  add_map_sum(total, 0.5, functor::copy{}, a);
  BOOST_TEST(value_of(total) == 19);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(squares_of_many_tensors_gather, X, all) {
  const X long_one = random<X>({40001}, 8);  // of several blocks of a device
  std::vector<X> parts;                      // more than a launch takes; of all sizes, beginning anywhere, and one empty
  for (index_t i = 0, at = 0; i < 200; at += i++ % 7 * 10) parts.push_back(long_one.slice(at, at + i % 7 * 10));
  parts.push_back(long_one);
  double expected = 3;
  for (const X& x : parts)
    for (const auto v : x.to_vector()) expected += static_cast<double>(v) * static_cast<double>(v);
  device_sum<X> total(shape{1}, std::vector<double>{3});
  add_sum_of_squares(total, parts);
  BOOST_TEST(std::abs(value_of(total) / expected - 1) < 1e-6);
  add_sum_of_squares(total, std::vector<X>{});
  BOOST_TEST(std::abs(value_of(total) / expected - 1) < 1e-6);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(many_tensors_are_updated, X, all) {
  using T = typename X::value_type;
  const X w = random<X>({40001}, 9), g = random<X>({40002}, 10);
  std::vector<X> parameters, gradients;  // as above; w's second half is one of them, and 3 of its elements are in none
  index_t at = 0;
  for (index_t i = 0; i < 200; at += i++ % 7 * 10) {
    parameters.push_back(w.slice(at, at + i % 7 * 10));
    gradients.push_back(g.slice(at + 1, at + 1 + i % 7 * 10));
  }
  parameters.push_back(w.slice(at + 3, 40001));
  gradients.push_back(g.slice(at + 4, 40002));
  const std::vector<T> before = w.to_vector(), along = g.to_vector();
  update_in_place(functor::sgd<T>{T(0.5), T(1), T(0)}, parameters, std::as_const(gradients));
  const std::vector<T> after = w.to_vector();
  index_t wrong = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const bool stays = i >= static_cast<std::size_t>(at) && i < static_cast<std::size_t>(at) + 3;
    wrong += std::abs(after[i] - (before[i] - (stays ? T(0) : along[i + 1] / 2))) > T(1e-6) ? 1 : 0;
  }
  BOOST_TEST(wrong == 0);
  gradients.pop_back();
  BOOST_CHECK_EXCEPTION(update_in_place(functor::sgd<T>{T(0.5), T(1), T(0)}, parameters, std::as_const(gradients)), error,
                        [](const error& e) { return std::string(e.what()).find("201 tensors and 200") != std::string::npos; });
  BOOST_TEST((w.to_vector() == after));
}

BOOST_AUTO_TEST_CASE(long_sums_have_all_their_elements_once) {
  constexpr index_t wave = 64 * 65536;  // map_sum's blocks at a time
  auto x = zeros<tensor<float>>({wave + 70000});
  auto first = x.slice(0, 2), last = x.slice(wave, wave + 70000);
  fill(first, 3);
  fill(last, 1);
  BOOST_TEST(inner_product(x, x) == 70018);
}

BOOST_AUTO_TEST_CASE(memory_is_reused) {
  auto& pool = host::buffer_pool::instance();
  pool.release_unused();
  { const tensor<float> first(shape{1000}); }
  const std::size_t before = pool.allocations();
  for (int i = 0; i < 100; ++i) const tensor<float> again(shape{1000 - i / 10});
  BOOST_TEST(pool.allocations() == before);
}

BOOST_AUTO_TEST_CASE(memory_goes_back_where_none_of_its_slab_is_in_use) {
  host::buffer_pool pool;
  host::buffer* const small = pool.acquire(1000);
  host::buffer* const large = pool.acquire(std::size_t{1} << 28);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(large->data) % host::block_space::alignment == 0U);
  std::fill_n(small->data, 1000, std::byte{1});
  large->data[(std::size_t{1} << 28) - 1] = std::byte{2};
  pool.recycle(large);
  pool.release_unused();
  BOOST_TEST((small->data[999] == std::byte{1}));
  pool.recycle(small);
  BOOST_TEST(pool.acquire(990) == small);  // a little smaller is served too
  pool.recycle(small);
  pool.release_unused();
  const std::size_t before = pool.allocations();
  pool.recycle(pool.acquire(1000));
  BOOST_TEST(pool.allocations() == before + 1);
}

BOOST_AUTO_TEST_CASE(a_slab_of_which_some_is_in_use_stays) {
  host::buffer_pool pool;
  host::buffer *const used = pool.acquire(1000), *const idle = pool.acquire(1000);
  const std::size_t before = pool.allocations();
  pool.recycle(idle);
  pool.release_unused();
  std::fill_n(used->data, 1000, std::byte{1});
  BOOST_TEST(pool.acquire(1000) == idle);
  BOOST_TEST(pool.allocations() == before);
  pool.recycle(idle);
  pool.recycle(used);
}

BOOST_AUTO_TEST_CASE(free_memory_that_is_a_little_too_small_is_not_lent) {
  host::buffer_pool pool;
  host::buffer *const small = pool.acquire(4160), *const between = pool.acquire(64);  // the same class as 4224
  pool.recycle(small);
  host::buffer* const large = pool.acquire(4224);
  BOOST_TEST(large->data > between->data);
  BOOST_TEST(large->size >= 4224U);
  pool.recycle(between);
  pool.recycle(large);
}

BOOST_AUTO_TEST_CASE(what_shrinking_gives_back_joins_what_is_free_behind) {
  host::buffer_pool pool;
  constexpr std::size_t piece = 1000000;
  host::buffer *const first = pool.acquire(2 * piece), *const second = pool.acquire(piece), *const third = pool.acquire(piece);
  const std::size_t before = pool.allocations();
  pool.recycle(second);
  pool.shrink(*first, piece);
  host::buffer* const joined = pool.acquire(2 * piece - 64);  // less a header
  BOOST_TEST((first->data < joined->data && joined->data < third->data));
  BOOST_TEST(pool.allocations() == before);
  for (host::buffer* b : {first, joined, third}) pool.recycle(b);
}

BOOST_AUTO_TEST_CASE(a_buffer_larger_than_a_slab_has_one_of_its_own) {
  host::buffer_pool pool;
  host::buffer* const b = pool.acquire(std::size_t{1} << 30);
  BOOST_TEST(b->home->used <= b->home->size);
  pool.recycle(b);
  BOOST_CHECK_THROW(pool.acquire(std::numeric_limits<std::size_t>::max()), out_of_memory);
}

#ifdef EXPUNGE_TEST_ADDRESS_SPACE
BOOST_AUTO_TEST_CASE(a_system_without_room_for_a_slab_has_room_for_a_buffer) {
  host::buffer_pool pool;
  const testing::address_space_limit limit(std::size_t{64} << 20);
  host::buffer* found = nullptr;
  BOOST_CHECK_NO_THROW(found = pool.acquire(std::size_t{1} << 20));
  BOOST_TEST_REQUIRE(found != nullptr);
  pool.recycle(found);
}

BOOST_AUTO_TEST_CASE(idle_memory_goes_back_where_the_system_has_no_more) {
  host::buffer_pool pool;
  constexpr std::size_t piece = std::size_t{700} << 20;
  host::buffer *const first = pool.acquire(piece), *const second = pool.acquire(piece);
  pool.recycle(first);
  pool.recycle(second);
  const testing::address_space_limit limit(std::size_t{64} << 20);
  host::buffer* whole = nullptr;
  BOOST_CHECK_NO_THROW(whole = pool.acquire(2 * piece));
  BOOST_TEST_REQUIRE(whole != nullptr);
  pool.recycle(whole);
}
#endif

BOOST_AUTO_TEST_CASE(an_absent_tensor_is_zero_and_has_no_elements) {
  using X = tensor<float>;
  const X none, some({2}, std::vector<float>{2, 3});
  std::vector<float> elements;
  none.download(elements);
  none.upload(elements);
  BOOST_TEST(none.to_vector().empty());
  BOOST_TEST(inner_product(some, none) == 0);
  BOOST_TEST(inner_product(none, some) == 0);
  BOOST_TEST(as_xtensor(none).size() == 0U);
  BOOST_TEST(as_eigen(none).size() == 0);
}

BOOST_AUTO_TEST_CASE(absent_tensors_are_refused_and_an_error_loses_nothing) {
  using X = tensor<float>;
  const X none, some({1, 1}, std::vector<float>{2});
  X out(shape{1, 1}), absent, rows({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  BOOST_CHECK_THROW(gemm(false, false, 1.0F, none, some, 0.0F, out), error);
  BOOST_CHECK_THROW(gemm(false, false, 1.0F, some, none, 0.0F, out), error);
  BOOST_CHECK_THROW(gemm(false, false, 1.0F, some, some, 0.0F, absent), error);
  BOOST_CHECK_THROW(linear_into(none, some, X{}, X{}, out), error);
  BOOST_CHECK_THROW(clone(none), error);
  BOOST_CHECK_THROW(mapped(functor::copy{}, none), error);
  BOOST_CHECK_THROW(keep_rows(rows, 5), error);
  BOOST_TEST((rows.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6}));
}

BOOST_AUTO_TEST_CASE(memory_given_back_in_pieces_is_lent_as_a_whole) {
  host::buffer_pool pool;
  constexpr std::size_t piece = 1000000, count = 8;
  std::vector<host::buffer*> pieces;
  for (std::size_t i = 0; i < count; ++i) pieces.push_back(pool.acquire(piece));
  const std::size_t before = pool.allocations();
  BOOST_TEST(before == count);
  for (const std::size_t i : {1U, 6U, 3U, 4U, 0U, 2U, 7U, 5U}) pool.recycle(pieces[i]);  // with a neighbour in front, behind, both, neither
  host::buffer* const whole = pool.acquire(count * piece);
  BOOST_TEST(whole == pieces[0]);
  std::fill_n(whole->data, count * piece, std::byte{1});
  BOOST_TEST(pool.allocations() == before);
  pool.recycle(whole);
  for (std::size_t i = 0; i < count; ++i) BOOST_TEST(pool.acquire(piece) == pieces[i]);
  pool.recycle(pieces[6]);
  host::buffer* const longer = pool.acquire(2 * piece);  // behind all, for what is free is too short
  BOOST_TEST(longer->data > pieces[7]->data);
  for (host::buffer* b : pieces)
    if (b != pieces[6]) pool.recycle(b);
  pool.recycle(longer);
}

BOOST_AUTO_TEST_CASE(the_rows_that_are_kept_keep_their_memory_alone) {
  auto& pool = host::buffer_pool::instance();
  pool.forget_peak();
  const std::size_t before = pool.peak_bytes();
  constexpr index_t rows = 100, cols = 1000;
  constexpr std::size_t row = cols * sizeof(float);
  tensor<float> x(shape{rows, cols});
  for (index_t i = 0; i < rows; ++i) {
    tensor<float> part = x.slice(i, i + 1);
    fill(part, static_cast<float>(i));
  }
  tensor<float> all = x;
  const float* const place = x.data();
  keep_rows(x, 70);  // a view, for `all` has the rest
  pool.forget_peak();
  BOOST_TEST(pool.peak_bytes() - before >= rows * row);
  tensor<float> y = all.slice(0, 60);
  BOOST_TEST(x.rows() == 70);
  BOOST_TEST(all.to_vector().back() == 99);
  x = {};
  all = {};
  keep_rows(y, 50);
  BOOST_TEST(y.data() == place);
  pool.forget_peak();
  BOOST_TEST(pool.peak_bytes() - before < 51 * row);
  BOOST_TEST(y.to_vector().back() == 49);
  const tensor<float> other(shape{49, cols});  // in what was given back
  BOOST_TEST(y.to_vector().back() == 49);
  y = y.slice(20, 50);  // rows that do not begin where the memory does
  keep_rows(y, 10);
  pool.forget_peak();
  BOOST_TEST(pool.peak_bytes() - before >= (49 + 30) * row);
  BOOST_TEST(pool.peak_bytes() - before < (49 + 31) * row);
  BOOST_TEST(y.to_vector().front() == 20);
  BOOST_TEST(y.to_vector().back() == 29);
}

BOOST_AUTO_TEST_CASE(size_classes_hold_what_was_asked) {
  for (index_t n = 1; n < 5000; n += 7) {
    tensor<float> x(shape{n});
    fill(x, 1.0F);
    BOOST_REQUIRE(inner_product(x, x) == static_cast<double>(n));
  }
}

BOOST_AUTO_TEST_CASE(eigen_and_xtensor_share_elements) {
  tensor<double> x(shape{2, 3}, std::vector<double>{1, 2, 3, 4, 5, 6});
  as_eigen(x)(1, 2) = 60;
  as_xtensor(x)(0, 1) = 20;
  BOOST_TEST(x.to_vector() == (std::vector<double>{1, 20, 3, 4, 5, 60}), each);
  eigen_matrix<double> m = eigen_matrix<double>::Constant(2, 2, 7);
  const tensor<double> from = from_eigen(m);
  m(0, 1) = 8;
  BOOST_TEST(from.to_vector() == (std::vector<double>{7, 8, 7, 7}), each);
  xt::xarray<double> array = {{1, 2}, {3, 4}};
  tensor<double> view = from_xtensor(array);
  array(1, 1) = 40;
  BOOST_TEST(view.to_vector() == (std::vector<double>{1, 2, 3, 40}), each);
  BOOST_TEST(!view.unique());  // memory of others is never written in place
}

BOOST_AUTO_TEST_SUITE_END()
