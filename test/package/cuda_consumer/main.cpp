// Training of a decoder on the device under every kind of loss: links only where each kernel and functor it names was compiled.
// So does a function of one's own. Without a device the error must say so.
#include <expunge/attribution/influence.hpp>
#include <expunge/autodiff/derivative_oracle.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/recall.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/tensor/cuda_storage.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <iostream>
#include <string>

#include "cube.hpp"

using namespace expunge;
using X = tensor<float, cuda_storage<float>>;

namespace {

void train(model::decoder_family family) {
  auto m = model::random_decoder<X>({.family = family, .vocabulary = 32, .width = 16, .layers = 1, .heads = 2, .kv_heads = 2, .head_dim = 8,
                                     .ffn_width = 32, .context = 8, .tied = true}, 1);
  const std::vector<nn::token_sequence> forget{{{1, 2, 3, 4}, 2}, {{5, 6, 7}, 1}}, retain{{{8, 9, 10}, 2}};
  const auto run = [&](const auto& loss, const auto& optimizer) { unlearn::trainer(m, loss, optimizer).run(forget, retain, unlearn::after_steps(2)); };
  run(loss::gradient_difference{}, optim::adamw{});
  run(loss::ssiuu{}, optim::sgd{.momentum = 0.9});
  run(loss::ssiuu_exact(0.1), optim::sgd{});
  static_cast<void>(metric::recalls(m, forget));
  static_cast<void>(attribution::influences(m, std::span(forget)));
}

}  // namespace

int main() {
  try {
    for (const auto family : {model::decoder_family::llama, model::decoder_family::qwen2, model::decoder_family::gpt2}) train(family);
    const X x(shape{2}, std::vector{0.5f, -1.f});
    if (check_derivatives<X>([](const auto& v) { return unary<cube>(v[0]); }, std::vector{x}).gradient > 1e-2) return 1;
  } catch (const error& e) {
    std::cout << e.what() << '\n';
    return cuda::device_count() == 0 && std::string(e.what()).starts_with("CUDA: no device found") ? 0 : 1;
  }
  return 0;
}
