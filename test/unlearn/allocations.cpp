// What a training step asks from the system once it is warm: no memory for tensors, and few small objects (the lists of a step).
// This executable's operator new counts.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include <expunge/core/thread_pool.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/tensor/host/buffer_pool.hpp>
#include <expunge/unlearn/trainer.hpp>

namespace {

std::atomic<std::size_t> calls{0}, bytes{0}, largest{0};

void* counted(std::size_t size, std::size_t alignment) {
  calls.fetch_add(1, std::memory_order_relaxed);
  bytes.fetch_add(size, std::memory_order_relaxed);
  for (std::size_t seen = largest.load(); seen < size && !largest.compare_exchange_weak(seen, size);) {}
  const std::size_t rounded = (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded);
}
void* counted_or_throw(std::size_t size, std::size_t alignment) {
  if (void* memory = counted(size, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// Not inlined: g++ would compare the inlined half of a pair with the other half and warn.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted_or_throw(size, alignof(std::max_align_t)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment) { return counted_or_throw(size, static_cast<std::size_t>(alignment)); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept { return counted(size, static_cast<std::size_t>(alignment)); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace expunge;
using X = tensor<float>;

namespace {

/// They begin with `alike` tokens that are the same.
std::vector<nn::token_sequence> sequences(std::uint64_t seed, index_t alike) {
  philox g(seed);
  std::vector<nn::token_sequence> out(8);
  for (auto& s : out) {
    const index_t length = 6 + static_cast<index_t>(uniform_below(g, 9));
    for (index_t i = 0; i < length; ++i) s.tokens.push_back(static_cast<std::int32_t>(uniform_below(g, 256)));
    s.tokens.insert(s.tokens.begin(), static_cast<std::size_t>(alike), 1);
    s.answer_begin = alike + length - 5;  // so many labels that no model here keeps their logits, which is a list
  }
  return out;
}

struct usage {
  std::size_t cold_buffers = 0;  // that the pool had to ask the system for in the first step
  std::size_t buffers = 0;       // and the most in any of the ten steps after five
  std::size_t calls = 0, bytes = 0, largest = 0;  // the same of operator new
};

template <class Loss, class Optimizer>
usage measure(const Loss& policy, const Optimizer& optimizer, index_t width, index_t alike) {
  auto& pool = host::buffer_pool::instance();
  pool.release_unused();
  auto m = model::random_decoder<X>({.vocabulary = 256, .width = width, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = width / 4,
                                     .ffn_width = 2 * width, .context = 32, .tied = false}, 1);
  const auto forget = sequences(1, alike), retain = sequences(2, alike);
  loss::example_list<model::decoder<X>> all;
  for (const nn::token_sequence& s : retain) all.push_back(&s);
  BOOST_TEST(m.make_training_batch(all, 0).shares_rows() == (alike > 0));
  usage out;
  std::size_t buffers_before = pool.allocations(), calls_before = 0, bytes_before = 0;
  unlearn::trainer_settings settings{.batch = 8, .order = unlearn::order::given};
  settings.on_step = [&](const unlearn::step_report& r) {
    const std::size_t buffers = pool.allocations() - std::exchange(buffers_before, pool.allocations());
    const std::size_t n = calls - std::exchange(calls_before, calls), size = bytes - std::exchange(bytes_before, bytes);
    const std::size_t most = largest.exchange(0);
    if (r.step == 1) out.cold_buffers = buffers;
    if (r.step <= 5) return;
    out.buffers = std::max(out.buffers, buffers);
    out.calls = std::max(out.calls, n);
    out.bytes = std::max(out.bytes, size);
    out.largest = std::max(out.largest, most);
  };
  unlearn::trainer(m, policy, optimizer, settings).run(forget, retain, unlearn::after_steps(15));
  return out;
}

/// `most`: a bound of the lists that a step makes, about a quarter above what g++ 12 counts.
template <class Loss, class Optimizer = optim::adamw>
void check(const char* name, const Loss& policy, std::size_t most, const Optimizer& optimizer = {.learning_rate = 1e-4}, index_t alike = 0) {
  BOOST_TEST_CONTEXT(name) {
    const usage u = measure(policy, optimizer, 64, alike);
    BOOST_TEST_MESSAGE(name << ": first step " << u.cold_buffers << " buffers; warm " << u.buffers << " buffers, " << u.calls
                            << " small objects of " << u.bytes << " bytes, the largest " << u.largest);
    BOOST_TEST(u.cold_buffers > 0U);
    BOOST_TEST(u.buffers == 0U);
    BOOST_TEST(u.calls <= most);
    BOOST_TEST(u.largest <= 4096U);  // less than any weight matrix here
    const usage wider = measure(policy, optimizer, 128, alike);  // no small object grows with the model's width
    BOOST_TEST(wider.buffers == u.buffers);
    BOOST_TEST(wider.calls == u.calls);
    BOOST_TEST(wider.bytes == u.bytes);
  }
}

template <class Attribution>
using over = loss::ssiuu<loss::gradient_difference, Attribution>;

}  // namespace

BOOST_AUTO_TEST_SUITE(allocations)

BOOST_AUTO_TEST_CASE(a_warm_step_allocates_no_tensor) {
  using enum attribution::curvature;
  using attribution::per_neuron, attribution::per_parameter;
  const loss::ssiuu_settings by_example{.lambda = 0.1, .reference = loss::reference::original, .reduction = loss::reduction::example, .curvature = exact};
  check("gradient difference", loss::gradient_difference{}, 160);
  check("gradient difference, sgd", loss::gradient_difference{}, 160, optim::sgd{.learning_rate = 1e-3, .momentum = 0.9});
  check("gradient difference, examples that begin alike", loss::gradient_difference{}, 240, optim::adamw{.learning_rate = 1e-4}, 8);
  check("ssiuu exact per neuron, examples that begin alike", loss::ssiuu_exact(0.1), 220, optim::adamw{.learning_rate = 1e-4}, 8);
  check("ssiuu first order", loss::ssiuu{}, 200);
  check("ssiuu exact", over<per_parameter>{{}, {.lambda = 0.1, .curvature = exact}, {}}, 200);
  check("ssiuu first order per neuron", over<per_neuron>{{}, {.lambda = 0.1}, {}}, 300);
  check("ssiuu exact per neuron", loss::ssiuu_exact(0.1), 300);
  check("ssiuu exact by example", over<per_parameter>{{}, by_example, {}}, 750);
  check("ssiuu exact per neuron by example", over<per_neuron>{{}, by_example, {}}, 500);
}

BOOST_AUTO_TEST_SUITE_END()
