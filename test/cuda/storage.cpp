// What only a device has: its errors, its memory over many steps, repeated runs, and the host's results for larger operations.
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <future>
#include <string>
#include <utility>

#include <expunge/autodiff/attention.hpp>
#include <expunge/autodiff/cross_entropy.hpp>
#include <expunge/autodiff/norm.hpp>
#include <expunge/autodiff/rows.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/tensor/bfloat16_cuda_storage.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../larger_error.hpp"
#include "memory_lists.hpp"

using namespace expunge;

namespace {

struct memory_lists {
  memory_lists() { testing::use_memory_lists(); }
};
BOOST_TEST_GLOBAL_FIXTURE(memory_lists);

using host_tensor = tensor<float>;
using device_tensor = tensor<float, cuda_storage<float>>;

template <class X>
X random(const shape& extents, std::uint64_t seed) {
  philox generator(seed);
  std::vector<float> values(static_cast<std::size_t>(extents.size()));
  for (float& v : values) v = static_cast<float>(standard_normal(generator));
  return X(extents, values);
}

/// Weights after some steps of exact SSIUU.
template <class X>
std::vector<float> trained(index_t steps) {
  auto m = model::random_mlp<X>({3, 16, 4}, 1);
  philox g(5);
  std::vector<model::labelled_sample> all;
  for (int i = 0; i < 20; ++i)
    all.push_back({{standard_normal(g), standard_normal(g), standard_normal(g)}, static_cast<std::int32_t>(uniform_below(g, 4))});
  const std::vector<model::labelled_sample> forget(all.begin(), all.begin() + 10), retain(all.begin() + 10, all.end());
  unlearn::trainer(m, loss::ssiuu_exact(0.5), optim::adamw{.learning_rate = 1e-3}).run(forget, retain, unlearn::after_steps(steps));
  std::vector<float> weights;
  for (const X& p : nn::parameters(m))
    for (const float w : p.to_vector()) weights.push_back(w);
  return weights;
}

/// The same tensor with elements that bfloat16 has.
template <class X>
X rounded(const X& x) {
  auto v = x.to_vector();
  for (float& f : v) f = float_from_bf16(bf16_from_float(f));
  return X(x.extents(), v);
}

/// What attention's primitives give for rounded inputs, without or behind pasts of 39, 0, 3 (and no rows) and 130 keys: out, lse, dout, dlse, the three cotangents and their tangents.
template <class X>
std::vector<std::vector<float>> attention_passes(index_t dim, X (*prepare)(const X&), bool behind = false) {
  using I = typename X::index_tensor;
  const I offsets(shape{5}, std::vector<std::int32_t>{0, 127, 128, 128, 157}), with_past(shape{5}, std::vector<std::int32_t>{0, 166, 167, 170, 329});
  const I& key_offsets = behind ? with_past : offsets;
  const attention_shape sizes{4, 2, 1, dim, 157, behind ? 329 : 157};
  std::uint64_t seed = 1;
  const auto make = [&](index_t heads) { return prepare(random<X>({heads == 1 ? sizes.key_rows : sizes.rows, heads * dim}, seed++)); };
  const X q = make(2), k = make(1), v = make(1), g = make(2), dq = make(2), dk = make(1), dv = make(1), dg = make(2);
  const float scale = 0.25F;
  X out(q.extents()), lse(shape{sizes.rows, 2}), dout(q.extents()), dlse(lse.extents());
  X::template run<primitive::attention>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale, out.mutable_data(), lse.mutable_data());
  X::template run<primitive::attention_pushforward>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale, out.data(), lse.data(), dq.operand(),
                                                    dk.operand(), dv.operand(), dout.mutable_data(), dlse.mutable_data());
  std::vector found{out.to_vector(), lse.to_vector(), dout.to_vector(), dlse.to_vector()};
  for (const bool tangents : {false, true}) {
    std::array<cotangent<X>, 3> bars;
    const auto to = [&](std::size_t i, const X& of) { return cotangent_slot<X>(&bars[i]).destination(of.extents()); };
    if (tangents)
      X::template run<primitive::attention_pullback_tangent>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale, out.data(), lse.data(), dq.operand(),
                                                             dk.operand(), dv.operand(), dout.data(), dlse.data(), g.operand(), dg.operand(),
                                                             to(0, q), to(1, k), to(2, v));
    else
      X::template run<primitive::attention_pullback>(sizes, offsets.data(), key_offsets.data(), q.operand(), k.operand(), v.operand(), scale, out.data(), lse.data(), g.operand(),
                                                     to(0, q), to(1, k), to(2, v));
    for (const cotangent<X>& bar : bars) found.push_back(bar.value.to_vector());
  }
  return found;
}

/// A transformer's operations at sizes of several tiles and blocks: value, and gradient by the inputs and weights.
template <class X>
std::vector<float> attended(std::vector<float>& gradient) {
  using I = typename X::index_tensor;
  const I offsets(shape{4}, std::vector<std::int32_t>{0, 200, 201, 437}), labels(shape{3}, std::vector<std::int32_t>{5, 2999, 0});
  tape<X> recorded;
  const std::vector leaves{recorded.leaf(random<X>({437, 6 * 64}, 1)), recorded.leaf(random<X>({437, 2 * 64}, 2)), recorded.leaf(random<X>({437, 2 * 64}, 3)),
                           recorded.leaf(random<X>({384}, 4)), recorded.leaf(random<X>({3000, 384}, 6))};
  const auto h = causal_attention(leaves[0], leaves[1], leaves[2], offsets, 6, 2, 0.125F);
  const auto s = segment_sum(rms_norm(h, leaves[3], 1e-5F), offsets);
  const auto nll = cross_entropy(linear(s, leaves[4]), labels, 0.1F);
  X one(nll.value.extents());
  fill(one, 1.0F);
  recorded.pullback(nll, one);
  gradient.clear();
  for (const auto& leaf : leaves)
    for (const float g : gradient_of(leaf).to_vector()) gradient.push_back(g);
  return nll.value.to_vector();
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, scale = 1e-6;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = testing::larger_error(worst, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    scale = std::max(scale, std::abs(static_cast<double>(b[i])));
  }
  return worst / scale;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_device)

BOOST_AUTO_TEST_CASE(a_tensor_that_does_not_fit_is_refused_with_the_bytes) {
  const auto before = cuda::describe_device();
  try {
    const device_tensor huge(shape{static_cast<index_t>(before.total_bytes)});  // four times the memory
    BOOST_TEST(false);
  } catch (const out_of_memory& e) {
    const std::string message = e.what();
    BOOST_TEST(message.find(std::to_string(4 * before.total_bytes) + " bytes") != std::string::npos);
    BOOST_TEST(message.find("are free") != std::string::npos);
    BOOST_TEST(message.starts_with("tensor ["));
  }
  BOOST_TEST((zeros<device_tensor>({1000}).to_vector() == std::vector<float>(1000)));  // the device works on
  BOOST_CHECK_THROW(cuda::select_device(cuda::device_count()), error);
  BOOST_CHECK_THROW(cuda::select_device(-1), error);
}

BOOST_AUTO_TEST_CASE(host_and_device_agree) {
  std::vector<float> host_gradient, device_gradient;
  const auto host = attended<host_tensor>(host_gradient), device = attended<device_tensor>(device_gradient);
  BOOST_TEST(largest_difference(device, host) <= 1e-4);
  BOOST_TEST(largest_difference(device_gradient, host_gradient) <= 1e-4);
  BOOST_TEST(largest_difference(trained<device_tensor>(5), trained<host_tensor>(5)) <= 1e-4);
  BOOST_TEST(inner_product(random<device_tensor>({50000}, 1), random<device_tensor>({50000}, 2)) ==
                 inner_product(random<host_tensor>({50000}, 1), random<host_tensor>({50000}, 2)),
             boost::test_tools::tolerance(1e-6));
  device_tensor many(shape{(index_t{1} << 23) + 12345});  // blocks with several shares
  fill(many, 0.5F);
  auto sum = zeros<device_sum<device_tensor>>(shape{1});
  add_map_sum(sum, 1, functor::copy{}, std::as_const(many));
  BOOST_TEST(value_of(sum) == 0.5 * static_cast<double>(many.size()));
  const auto tail = []<class X>(const X& x) { return (x.slice(1, 9) * x.slice(1, 9)).to_vector(); };  // begins at no multiple of 16 bytes
  BOOST_TEST((tail(random<device_tensor>({9, 7}, 1)) == tail(random<host_tensor>({9, 7}, 1))));
}

BOOST_AUTO_TEST_CASE(sums_over_rows_of_no_block_one_and_many) {
  for (const index_t rows : {0, 1, 1024, 1025, 1024 * 1024 + 3}) {
    std::vector<float> values, expected(3);
    for (index_t i = 0; i < 3 * rows; ++i) values.push_back(static_cast<float>((i / 3 * 7 + i % 3) % 5));  // sums are exact
    for (std::size_t i = 0; i < values.size(); ++i) expected[i % 3] += values[i];
    const device_tensor x(shape{rows, 3}, values);
    device_tensor sums(shape{3});
    const auto sum = [&](bool empty) {
      device_tensor::run<primitive::column_sum>(x.data(), rows, 3, destination<float>{sums.mutable_data(), empty});
      return sums.to_vector();
    };
    BOOST_TEST(sum(true) == expected, boost::test_tools::per_element());
    for (float& e : expected) e *= 2;
    BOOST_TEST(sum(false) == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(one_value_may_be_several_inputs) {
  const auto gradients = []<class X>(const X& x, const X& w) {
    std::vector<X> out;
    const auto of = [&](const X& at, const auto& f) {
      tape<X> t;
      const auto v = t.leaf(at);
      const auto y = f(v);
      t.pullback(y, random<X>(y.value.extents(), 7));
      out.push_back(gradient_of(v));
    };
    const typename X::index_tensor offsets(shape{3}, std::vector<std::int32_t>{0, 3, 8});
    of(x, [&](const var<X>& v) { return causal_attention(v, v, v, offsets, 2, 2, 0.5F); });
    of(w, [&](const var<X>& v) { return layer_norm(var<X>(x), v, v, 1e-5F); });
    of(w, [&](const var<X>& v) { return rms_norm(v, v, 1e-5F); });
    return out;
  };
  const auto on_device = gradients(random<device_tensor>({8, 8}, 1), random<device_tensor>({8}, 2));
  const auto on_host = gradients(random<host_tensor>({8, 8}, 1), random<host_tensor>({8}, 2));
  for (std::size_t i = 0; i < on_host.size(); ++i) testing::check_beside_largest(on_device[i].to_vector(), on_host[i].to_vector(), 1e-5F);
}

BOOST_AUTO_TEST_CASE(two_threads_attend_at_once) {
  const auto narrow = attention_passes<device_tensor>(16, rounded<device_tensor>), wide = attention_passes<device_tensor>(128, rounded<device_tensor>);
  auto beside = std::async(std::launch::async, [] { return attention_passes<device_tensor>(128, rounded<device_tensor>); });
  BOOST_TEST((attention_passes<device_tensor>(16, rounded<device_tensor>) == narrow));
  BOOST_TEST((beside.get() == wide));
}

BOOST_AUTO_TEST_CASE(repeated_runs_have_the_same_bits) {
  std::vector<float> first, second;
  BOOST_TEST((attended<device_tensor>(first) == attended<device_tensor>(second)));
  BOOST_TEST((first == second));
  BOOST_TEST((trained<device_tensor>(10) == trained<device_tensor>(10)));
}

BOOST_AUTO_TEST_CASE(freed_memory_is_lent_again) {
  cuda::keep_freed(true);
  void* const first = cuda::allocate(10000);
  cuda::release(first);
  void* const second = cuda::allocate(9500);
  BOOST_TEST(second == first);
  void* const third = cuda::allocate(9500);
  BOOST_TEST(third != first);
  cuda::release(second);
  void* const smaller = cuda::allocate(5000);
  BOOST_TEST(smaller != first);
  const auto before = cuda::describe_device();
  cuda::release(smaller);
  BOOST_TEST(cuda::describe_device().free_bytes >= before.free_bytes + 5000);  // what is kept is free too
  const std::size_t most = cuda::peak_bytes();
  cuda::release(cuda::allocate(most));
  BOOST_TEST(cuda::peak_bytes() > most);
  const auto kept = trained<device_tensor>(5);
  cuda::keep_freed(false);
  BOOST_TEST((trained<device_tensor>(5) == kept));
  cuda::release(third);
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_CASE(what_a_piece_is_shrunk_by_is_lent_until_it_joins_the_rest) {
  constexpr std::size_t part = 1 << 16;
  cuda::release_unused();
  cuda::keep_freed(true);
  auto* const first = static_cast<std::byte*>(cuda::allocate(4 * part));
  const auto pieces = [&] {
    BOOST_TEST(cuda::shrink(first, part));
    std::byte* const rest = static_cast<std::byte*>(cuda::allocate(3 * part));
    BOOST_TEST(rest == first + part);
    BOOST_TEST(cuda::shrink(rest, part + 1));  // whole blocks of 512 bytes
    std::byte* const middle = static_cast<std::byte*>(cuda::allocate(part));  // cut from what is left
    BOOST_TEST(middle == rest + part + 512);
    std::byte* const last = static_cast<std::byte*>(cuda::allocate(part - 512));
    BOOST_TEST(last == middle + part);
    return std::vector{first, rest, middle, last};
  };
  for (const std::vector<std::size_t>& order : {std::vector<std::size_t>{0, 1, 2, 3}, {3, 2, 1, 0}, {0, 2, 1, 3}, {1, 3, 0, 2}}) {
    const auto made = pieces();
    for (const std::size_t i : order) {
      cuda::release_unused();  // nothing that is in use, nor what lies beside that
      cuda::release(made[i]);
    }
    const void* const again = cuda::allocate(4 * part);
    BOOST_TEST(again == first);
  }
  cuda::forget_peak();
  const std::size_t most = cuda::peak_bytes();
  BOOST_TEST(cuda::shrink(first, 8 * part));  // which it never had
  BOOST_TEST(cuda::shrink(first, 0));
  cuda::forget_peak();
  BOOST_TEST(cuda::peak_bytes() == most - 4 * part + 512);
  cuda::release(first);
  testing::use_memory_lists();
}

using shrinking_tensors = boost::mpl::list<device_tensor, tensor<float, bfloat16_cuda_storage<float>>>;
BOOST_AUTO_TEST_CASE_TEMPLATE(the_rows_that_are_kept_are_what_they_were, X, shrinking_tensors) {
  cuda::keep_freed(true);
  const auto whole_numbers = [](const shape& extents, std::uint64_t seed) {  // whose products and sums are exact
    auto values = random<host_tensor>(extents, seed).to_vector();
    for (float& v : values) v = std::round(4 * v);
    return X(extents, values);
  };
  X x = whole_numbers({50, 8}, 1);
  const X w = whole_numbers({4, 8}, 2);
  const auto rows = x.slice(0, 20).to_vector();
  X product(shape{50, 4}), of_kept(shape{20, 4});
  gemm(false, true, 1, x, w, 0, product);  // products may keep what they made of x
  const auto expected = product.slice(0, 20).to_vector();
  const auto* const place = x.data();
  keep_rows(x, 20);
  BOOST_TEST(x.data() == place);
  const X other = random<X>({29, 8}, 3);  // where the other rows were
  BOOST_TEST((other.data() > place && other.data() < place + 50 * 8));
  BOOST_TEST((x.to_vector() == rows));
  gemm(false, true, 1, x, w, 0, of_kept);
  BOOST_TEST((of_kept.to_vector() == expected));
  x.drop_operand();
  gemm(false, true, 1, x, w, 0, of_kept);
  BOOST_TEST((of_kept.to_vector() == expected));
  testing::use_memory_lists();
}

BOOST_AUTO_TEST_CASE(memory_does_not_grow_over_a_thousand_steps) {
  trained<device_tensor>(10);
  cuda::synchronise();
  const auto before = cuda::describe_device();
  trained<device_tensor>(1000);
  cuda::synchronise();
  BOOST_TEST(cuda::describe_device().free_bytes >= before.free_bytes);
}

BOOST_AUTO_TEST_CASE(tf32_is_only_used_where_asked_for) {
  const auto a = random<device_tensor>({256, 512}, 1), b = random<device_tensor>({512, 256}, 2);
  const auto product = [&] {
    device_tensor c(shape{256, 256});
    gemm(false, false, 1, a, b, 0, c);
    return c.to_vector();
  };
  const auto full = product();
  cuda::allow_tf32(true);
  const auto fast = product();
  cuda::allow_tf32(false);
  BOOST_TEST((product() == full));
  BOOST_TEST(largest_difference(fast, full) <= 1e-2);
  BOOST_TEST((fast != full));
}

BOOST_AUTO_TEST_CASE(bfloat16_products_round_operands_and_sum_in_float) {
  using rounding_tensor = tensor<float, bfloat16_cuda_storage<float>>;
  const auto values = random<host_tensor>({300, 517}, 1), others = random<host_tensor>({517, 200}, 2);
  const auto product = []<class X>(const X& a, const X& b) {
    X c(shape{300, 200});
    gemm(false, false, 1, a, b, 0, c);
    return c.to_vector();
  };
  const auto device = product(rounding_tensor(values.extents(), values.to_vector()), rounding_tensor(others.extents(), others.to_vector()));
  BOOST_TEST(largest_difference(device, product(rounded(values), rounded(others))) <= 1e-5);
  BOOST_TEST(largest_difference(device, product(values, others)) > 1e-4);
  BOOST_TEST(largest_difference(trained<rounding_tensor>(5), trained<host_tensor>(5)) <= 2e-2);
  BOOST_TEST((trained<rounding_tensor>(5) == trained<rounding_tensor>(5)));
}

BOOST_AUTO_TEST_CASE(attention_rounds_operands_where_products_do) {
  using rounding_tensor = tensor<float, bfloat16_cuda_storage<float>>;
  for (const auto& [dim, behind] : {std::pair<index_t, bool>{64, false}, {40, false}, {96, false}, {64, true}, {96, true}}) {  // 40 and 96: operands are filled up with zeros
    const auto whole = attention_passes<host_tensor>(dim, rounded<host_tensor>, behind), device = attention_passes<rounding_tensor>(dim, rounded<rounding_tensor>, behind);
    const auto in_float = attention_passes<device_tensor>(dim, rounded<device_tensor>, behind);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      float scale = 0;
      for (const float x : whole[i]) scale = std::max(scale, std::abs(x));
      const double error = largest_difference(device[i], whole[i]) / scale;
      const bool of_operands = i == 1 || i == 3;  // lse and dlse: of operands that are as they were; probabilities are rounded too
      BOOST_TEST(error <= (of_operands ? 1e-5 : 1e-2), "output " << i << ", dimension " << dim << ": " << error);
      BOOST_TEST((of_operands || error > 1e-5));
      BOOST_TEST(largest_difference(in_float[i], whole[i]) / scale <= 1e-5);
    }
    BOOST_TEST((attention_passes<rounding_tensor>(dim, rounded<rounding_tensor>, behind) == device));
  }
  const auto wide = attention_passes<device_tensor>(256, rounded<device_tensor>), of_host = attention_passes<host_tensor>(256, rounded<host_tensor>);
  for (std::size_t i = 0; i < wide.size(); ++i) BOOST_TEST(largest_difference(wide[i], of_host[i]) <= 1e-4);  // on smaller tiles
  BOOST_TEST((attention_passes<rounding_tensor>(256, rounded<rounding_tensor>) == wide));                     // no room on tensor cores
}

BOOST_AUTO_TEST_CASE(operands_are_rounded_until_they_are_written) {
  using rounding_tensor = tensor<float, bfloat16_cuda_storage<float>>;
  const auto x = random<rounding_tensor>({20, 64}, 1), bias = random<rounding_tensor>({30}, 3);
  auto w = random<rounding_tensor>({30, 64}, 2);
  const auto product = [&](const rounding_tensor& of, index_t first, index_t end) {
    rounding_tensor y(shape{20, end - first});
    linear_into(x, of.slice(first, end), bias.slice(first, end), rounding_tensor{}, y);
    return y.to_vector();
  };
  const auto same = w.operand_alone();  // no product has read it
  BOOST_TEST(same.data() == w.data());
  const auto all = product(w, 0, 30), part = product(w, 10, 17);
  const auto alone = w.operand_alone();
  BOOST_TEST(alone.data() == nullptr);
  BOOST_TEST(!alone.absent());
  float* const elements = w.mutable_data();
  BOOST_TEST((product(w, 0, 30) == all));
  rounding_tensor::run<primitive::map>(w.size(), functor::fill<float>{0}, elements);  // against the rule: behind a product
  BOOST_TEST((product(w, 0, 30) == all));
  fill(w, 0.0F);
  BOOST_TEST(largest_difference(product(w, 10, 17), part) > 0.1);  // the bias alone
  BOOST_TEST((product(alone, 0, 30) == all));
  BOOST_TEST((product(alone, 10, 17) == part));
  const std::vector<float> values(static_cast<std::size_t>(w.size()), 1);
  const auto zeros = product(w, 0, 30);
  w.upload(values);
  BOOST_TEST((product(w, 0, 30) != zeros));
}

BOOST_AUTO_TEST_SUITE_END()
