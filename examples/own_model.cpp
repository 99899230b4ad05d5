// A user's own model, from nothing: it learns facts, forgets some of them under SSIUU, and its weights go to a file and come back.
// Nothing to derive from, nothing to register: `own_model` below has all that nn/model_concept.hpp asks for.
#include <expunge/autodiff/cross_entropy.hpp>
#include <expunge/autodiff/rows.hpp>
#include <expunge/core/random.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/parameter_file.hpp>
#include <expunge/nn/layers.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <cmath>
#include <iostream>

using namespace expunge;

/// An example is a struct of yours: here the words of a question and the word that answers it.
struct fact {
  std::vector<std::int32_t> question;
  std::int32_t answer = 0;
};

/// What the model makes of some examples: tensors that nll() reads. Rows are words, those of an example next to each other.
template <class X>
struct fact_batch {
  typename X::index_tensor words;    // [rows]
  typename X::index_tensor offsets;  // [examples + 1], the rows of each example
  typename X::index_tensor answers;  // [examples]
  std::vector<index_t> lengths;      // labels of each example: 1
  std::vector<index_t> row_counts;   // rows of each example; may be left out, SSIUU then takes longer
  [[nodiscard]] index_t examples() const { return std::ssize(lengths); }
};

/// An activation of one's own: the library differentiates through it twice, so it states two derivatives.
struct softsign {  // x / (1 + |x|)
  template <class B> static B value(const B& x) { return x / (B(1) + xsimd::abs(x)); }
  template <class B> static B slope(const B& x) { return B(1) / ((B(1) + xsimd::abs(x)) * (B(1) + xsimd::abs(x))); }
  template <class B> static B curvature(const B& x) { return B(-2) * xsimd::sign(x) * slope(x) / (B(1) + xsimd::abs(x)); }
};

/// logits = output(sum over the question's words of softsign(hidden(vector of the word))). V is a tensor, or a value that records what is
/// done to one: the same code runs the model and differentiates it once or twice.
template <class V>
struct own_model {
  using value_type = V;
  using X = tensor_of<V>;  // the tensor in V
  using example_type = fact;
  using batch_type = fact_batch<X>;

  V vectors{};  // [words, width]
  nn::linear_layer<V> hidden{}, output{};

  [[nodiscard]] batch_type make_batch(std::span<const fact* const> examples) const {
    std::vector<std::int32_t> words, offsets{0}, answers;
    std::vector<index_t> row_counts;
    for (const fact* f : examples) {
      words.insert(words.end(), f->question.begin(), f->question.end());
      offsets.push_back(static_cast<std::int32_t>(words.size()));
      answers.push_back(f->answer);
      row_counts.push_back(std::ssize(f->question));
    }
    const auto indices = [](const std::vector<std::int32_t>& v) { return typename X::index_tensor({std::ssize(v)}, v); };
    return {indices(words), indices(offsets), indices(answers), std::vector<index_t>(answers.size(), 1), row_counts};
  }

  /// [examples]: -log P(answer | question). Neurons shown to the observer are what SSIUU watches, with the rows of each example.
  template <class Observer = nn::no_observer>
  V nll(const batch_type& b, const Observer& observe = {}) const {
    const V x = gather(vectors, b.words);                                                 // [rows, width]
    const V h = observe(nn::site{0, nn::module::hidden}, hidden(x), b.offsets);           // [rows, neurons]
    return cross_entropy(output(segment_sum(unary<softsign>(h), b.offsets)), b.answers);  // [examples]
  }

  /// The same structure over another value type; its parameters are set through visit().
  template <class U>
  [[nodiscard]] own_model<U> rebound() const { return {}; }

  /// Names every parameter, for any number of models side by side.
  template <class F, class M, class... Rest>
  static void visit(const nn::name_path& at, const F& f, M& m, Rest&... rest) {
    f(at / "vectors", m.vectors, rest.vectors...);
    nn::linear_layer<V>::visit(at / "hidden", f, m.hidden, rest.hidden...);
    nn::linear_layer<V>::visit(at / "output", f, m.output, rest.output...);
  }
};

using X = tensor<float>;
static_assert(nn::model<own_model<X>>);

own_model<X> random_model(std::uint64_t seed, index_t words, index_t width, index_t neurons) {
  philox random(seed);
  const auto matrix = [&](index_t rows, index_t cols) {
    std::vector<float> values(static_cast<std::size_t>(rows * cols));
    for (float& v : values) v = static_cast<float>(standard_normal(random) / std::sqrt(static_cast<double>(cols)));
    return X({rows, cols}, values);
  };
  return {matrix(words, width), {matrix(neurons, width), zeros<X>({neurons})}, {matrix(words, neurons), zeros<X>({words})}};
}

int main(int argc, char** argv) {
  // Words 0 to 39 are people, 40 to 42 what is asked of them, and each question has ten answers. Ten facts are to be forgotten.
  philox random(7);
  std::vector<fact> forget, retain;
  for (std::int32_t person = 0; person < 40; ++person)
    for (std::int32_t question = 0; question < 3; ++question)
      (question == 0 && person < 10 ? forget : retain)
          .push_back({{person, 40 + question}, 43 + 10 * question + static_cast<std::int32_t>(uniform_below(random, 10))});
  std::vector<fact> all = forget;
  all.insert(all.end(), retain.begin(), retain.end());

  auto m = random_model(1, 73, 32, 128);
  unlearn::trainer(m, loss::fine_tuning{}, optim::adamw{.learning_rate = 1e-2}, {.batch = 40}).run({}, all, unlearn::after_steps(300));

  const auto probability = [](const own_model<X>& of, const std::vector<fact>& set) {
    double total = 0;
    for (const auto& l : metric::likelihoods(of, std::span(set))) total += l.probability();
    return total / static_cast<double>(set.size());
  };
  const auto show = [&](const char* when, const own_model<X>& of) {
    std::cout << when << "P(answer) of the facts to forget " << probability(of, forget) << ", of the others " << probability(of, retain) << '\n';
  };
  show("before: ", m);
  const auto method = loss::ssiuu_exact(0.1, loss::gradient_difference{.retain_weight = 16});
  unlearn::trainer(m, method, optim::adamw{.learning_rate = 2e-3}, {.batch = 10, .retain_batch = 110})
      .run(forget, retain, [&](const auto& r) { return probability(m, forget) < 0.05 || r.step == 300; });
  show("after:  ", m);

  const std::filesystem::path file = argc > 1 ? argv[1] : "own_model.safetensors";
  model::save_parameters(file, m);
  auto again = random_model(2, 73, 32, 128);
  model::load_parameters(file, again);
  show("loaded: ", again);
  return probability(again, forget) < 0.1 && probability(again, retain) > 0.8 ? 0 : 1;
}
