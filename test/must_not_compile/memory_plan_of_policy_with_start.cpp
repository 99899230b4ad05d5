// expected: plan_memory: a policy with `start` needs a `memory_of`
// What a policy with an objective of its own keeps, nobody else knows.
#include <expunge/unlearn/memory_plan.hpp>

using namespace expunge;

struct my_loss : loss::gradient_difference {
  template <class M>
  auto start(const M&, std::span<const typename M::example_type>) const {
    return loss::base_objective<M, loss::gradient_difference>(*this);
  }
};

#ifdef FIXED
unlearn::loss_memory memory_of(const my_loss&, const model::decoder_config&, index_t, index_t, index_t) { return {.made = 1}; }
#endif

unlearn::memory_plan plan(const model::decoder_config& c) { return unlearn::plan_memory(c, my_loss{}, optim::sgd{}, 1, {}, {}); }
