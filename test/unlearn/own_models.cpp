// What writers of models get wrong: it is named, and not trained as something else.
#include <boost/test/unit_test.hpp>

#include <string>

#include <expunge/attribution/influence.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/metric/likelihood.hpp>
#include <expunge/model/mlp.hpp>
#include <expunge/unlearn/trainer.hpp>

#include "../message_of.hpp"

using namespace expunge;

namespace {

using X = tensor<double>;

enum class mistake {
  none, shows_nothing, drops_what_is_returned, one_value_a_label, no_row_counts, weight_of_constants, product_of_constants, ranges_of_labels, names_nothing
};

struct pairs {
  std::vector<double> source;
  std::vector<std::int32_t> target;
};

template <class T>
struct read_batch {
  T source{};
  typename T::index_tensor offsets{}, example{}, labels{}, label_offsets{};
  std::vector<index_t> lengths{}, row_counts{};
  [[nodiscard]] index_t examples() const { return std::ssize(lengths); }
};

/// Reads rows of a source and predicts labels of a target, which need not be as many.
template <class V, mistake Made>
struct reader {
  using value_type = V;
  using example_type = pairs;
  using batch_type = read_batch<tensor_of<V>>;
  V w1{}, w2{};

  [[nodiscard]] batch_type make_batch(std::span<const pairs* const> chosen) const {
    std::vector<double> source;
    std::vector<std::int32_t> offsets{0}, example, labels, label_offsets{0};
    batch_type b;
    for (const pairs* p : chosen) {
      source.insert(source.end(), p->source.begin(), p->source.end());
      for (const std::int32_t label : p->target) example.push_back(static_cast<std::int32_t>(b.examples())), labels.push_back(label);
      offsets.push_back(static_cast<std::int32_t>(source.size()));
      label_offsets.push_back(static_cast<std::int32_t>(labels.size()));
      b.lengths.push_back(std::ssize(p->target));
      if (Made != mistake::no_row_counts) b.row_counts.push_back(std::ssize(p->source));
    }
    const auto indices = [](const std::vector<std::int32_t>& v) { return X::index_tensor({std::ssize(v)}, v); };
    b.source = X({std::ssize(source), 1}, source);
    b.offsets = indices(offsets), b.example = indices(example), b.labels = indices(labels), b.label_offsets = indices(label_offsets);
    return b;
  }
  template <class O = nn::no_observer>
  V nll(const batch_type& b, const O& observe = {}) const {
    const V weight = Made == mistake::weight_of_constants ? matmul(V{X({2, 2}, std::vector<double>{1, 2, 3, 4})}, w1) : w1;
    V h = linear(V{b.source}, weight);
    if constexpr (Made == mistake::product_of_constants) h = matmul(h, matmul(w1, V{X({1, 2}, std::vector<double>{1, 2})}));
    if constexpr (Made == mistake::ranges_of_labels) h = observe(nn::site{}, h, b.label_offsets);
    else if constexpr (Made == mistake::drops_what_is_returned) observe(nn::site{}, h, b.offsets);
    else if constexpr (Made != mistake::shows_nothing) h = observe(nn::site{}, h, b.offsets);
    const V of_labels = cross_entropy(linear(gather(segment_sum(tanh(h), b.offsets), b.example), w2), b.labels);
    if constexpr (Made == mistake::one_value_a_label) return of_labels;
    else return segment_sum(of_labels, b.label_offsets);
  }
  template <class U>
  [[nodiscard]] reader<U, Made> rebound() const { return {}; }
  template <class F, class M, class... R>
  static void visit(const nn::name_path& at, F& f, M& m, R&... r) requires(Made != mistake::names_nothing) {
    f(at / "w1", m.w1, r.w1...);
    f(at / "w2", m.w2, r.w2...);
  }
};
static_assert(nn::model<reader<X, mistake::none>> && !nn::model<reader<X, mistake::names_nothing>>, "a model names its parameters");

const std::vector<pairs> forget{{{0.3}, {0, 1}}, {{-0.2, 0.5}, {2, 2}}}, retain{{{0.9, 0.1, -0.4}, {1}}, {{0.2, -0.7, 0.4}, {0, 1, 2}}};

template <mistake Made>
reader<X, Made> some_model() {
  return {X({2, 1}, std::vector<double>{0.5, -1}), X({3, 2}, std::vector<double>{1, -1, 0.5, 2, 0, 1})};
}

/// The error's message, or none.
template <mistake Made, class Loss>
std::string trained(const Loss& loss, std::vector<pairs> kept = retain, bool joint = true) {
  auto m = some_model<Made>();
  return testing::message_of([&] {
    unlearn::trainer(m, loss, optim::sgd{.learning_rate = 0.1}, {.batch = 2, .joint = joint}).run(forget, kept, unlearn::after_steps(2));
  });
}

bool says(const std::string& message, const std::string& part) { return message.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(own_models)

BOOST_AUTO_TEST_CASE(neurons_that_are_not_shown) {
  BOOST_TEST(trained<mistake::none>(loss::ssiuu_exact(1)) == "");
  BOOST_TEST(says(trained<mistake::shows_nothing>(loss::ssiuu_exact(1)), "none of the chosen sites"));
  BOOST_TEST(says(trained<mistake::drops_what_is_returned>(loss::ssiuu_exact(1)), "what the observer returned"));
  for (const bool joint : {true, false})
    BOOST_TEST(says(trained<mistake::ranges_of_labels>(loss::ssiuu_exact(1), retain, joint), "the examples' ranges of those rows"));
  BOOST_TEST(trained<mistake::shows_nothing>(loss::gradient_difference{}) == "");
  BOOST_TEST(attribution::influences(some_model<mistake::none>(), std::span(forget)).size() == 1U);
  BOOST_CHECK_THROW(attribution::influences(some_model<mistake::shows_nothing>(), std::span(forget)), error);
  BOOST_CHECK_THROW(attribution::influences(some_model<mistake::drops_what_is_returned>(), std::span(forget)), error);
  using attribution::measured, attribution::sites;
  BOOST_CHECK_THROW(attribution::influences(some_model<mistake::none>(), std::span(forget), measured::probability, sites::all, 0), error);
}

BOOST_AUTO_TEST_CASE(values_of_labels_instead_of_examples) {
  constexpr auto made = mistake::one_value_a_label;
  for (const std::string& message : {trained<made>(loss::gradient_ascent{}), trained<made>(loss::gradient_difference{})})
    BOOST_TEST(says(message, "one sum an example"), message);
  BOOST_TEST(metric::likelihoods(some_model<mistake::none>(), std::span(forget)).size() == 2U);
  BOOST_CHECK_THROW(metric::likelihoods(some_model<made>(), std::span(forget)), error);
  BOOST_CHECK_THROW(attribution::influences(some_model<made>(), std::span(forget)), error);
  BOOST_CHECK_THROW(metric::likelihoods(some_model<mistake::none>(), std::span(forget), 0), error);
}

BOOST_AUTO_TEST_CASE(row_counts_that_are_empty_and_a_weight_that_seems_to_have_rows) {
  for (const auto curvature : {attribution::curvature::first_order, attribution::curvature::exact}) {
    const loss::ssiuu<> policy{{}, {.curvature = curvature}, {}};
    BOOST_TEST(says(trained<mistake::no_row_counts>(policy), "0 `row_counts` for 4 examples"));
    BOOST_TEST(says(trained<mistake::weight_of_constants>(policy), "leave `row_counts` out"));
    BOOST_TEST(says(trained<mistake::product_of_constants>(policy), "leave `row_counts` out"));
    BOOST_TEST(trained<mistake::weight_of_constants>(policy, retain, false) == "");
    BOOST_TEST(trained<mistake::product_of_constants>(policy, retain, false) == "");
  }
}

BOOST_AUTO_TEST_CASE(as_many_labels_as_rows_but_not_of_each_example) {
  auto kept = retain;
  kept[1].source.pop_back();  // 1, 2, 3, 2 rows and 2, 2, 1, 3 labels
  BOOST_TEST(says(trained<mistake::none>(loss::ssiuu_exact(1), kept), "as many labels as rows"));
  BOOST_TEST(trained<mistake::none>(loss::ssiuu_exact(1), kept, false) == "");
}

// A sum over rows is then cut down as if it were rows: what is trained would be another loss.
BOOST_AUTO_TEST_CASE(as_many_rows_as_examples_but_not_one_each) {
  auto kept = retain;
  kept[0].source.resize(1), kept[1].source.clear();  // 1, 2, 1, 0 rows
  for (const auto curvature : {attribution::curvature::first_order, attribution::curvature::exact}) {
    const loss::ssiuu<> policy{{}, {.curvature = curvature}, {}};
    BOOST_TEST(says(trained<mistake::none>(policy, kept), "as many as examples"));
    BOOST_TEST(trained<mistake::none>(policy, kept, false) == "");
  }
}

BOOST_AUTO_TEST_SUITE_END()
