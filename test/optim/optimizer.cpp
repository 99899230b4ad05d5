// Optimizers against the update rules written out by hand; every setting changes the outcome; schedules.
#include <boost/test/unit_test.hpp>

#include <expunge/optim/optimizer.hpp>
#include <expunge/optim/schedule.hpp>

using namespace expunge;
using X = tensor<double>;

namespace {

/// Three steps on one parameter with gradient 2 w + 1 from w = 1.
template <class O>
double after_three_steps(const O& optimizer, double gradient_factor = 1, double rate_factor = 1) {
  std::vector<X> w{X(shape{1}, std::vector<double>{1})};
  auto state = optimizer.start(w);
  for (int i = 0; i < 3; ++i) {
    const std::vector<X> g{X(shape{1}, std::vector<double>{2 * w[0].to_vector()[0] + 1})};
    state.update(w, g, rate_factor, gradient_factor);
  }
  return w[0].to_vector()[0];
}

double sgd_by_hand(double lr, double momentum, double decay, double gradient_factor = 1) {
  double w = 1, v = 0;
  for (int i = 0; i < 3; ++i) {
    v = momentum * v + gradient_factor * (2 * w + 1) + decay * w;
    w -= lr * v;
  }
  return w;
}

double adamw_by_hand(const optim::adamw& o) {
  double w = 1, m = 0, v = 0;
  for (int t = 1; t <= 3; ++t) {
    const double g = 2 * w + 1;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    w -= o.learning_rate * o.weight_decay * w;
    w -= o.learning_rate * (m / (1 - std::pow(o.beta1, t))) / (std::sqrt(v / (1 - std::pow(o.beta2, t))) + o.epsilon);
  }
  return w;
}

const auto exactly = boost::test_tools::tolerance(1e-12);

}  // namespace

BOOST_AUTO_TEST_SUITE(optimizers)

BOOST_AUTO_TEST_CASE(sgd_follows_its_rule) {
  BOOST_TEST(after_three_steps(optim::sgd{.learning_rate = 0.1}) == sgd_by_hand(0.1, 0, 0), exactly);
  BOOST_TEST(after_three_steps(optim::sgd{.learning_rate = 0.1, .momentum = 0.9}) == sgd_by_hand(0.1, 0.9, 0), exactly);
  BOOST_TEST(after_three_steps(optim::sgd{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.2}) == sgd_by_hand(0.1, 0.9, 0.2), exactly);
}

BOOST_AUTO_TEST_CASE(a_schedule_acts_on_the_rate_and_clipping_on_the_gradient_alone) {
  for (const double momentum : {0.0, 0.9}) {
    const optim::sgd o{.learning_rate = 0.2, .momentum = momentum, .weight_decay = 0.3};
    BOOST_TEST(after_three_steps(o, 1, 0.5) == sgd_by_hand(0.1, momentum, 0.3), exactly);
    BOOST_TEST(after_three_steps(o, 0.5) == sgd_by_hand(0.2, momentum, 0.3, 0.5), exactly);
  }
  optim::adamw o{.learning_rate = 0.2, .weight_decay = 0.3};
  const double scheduled = after_three_steps(o, 1, 0.5);
  o.learning_rate = 0.1;
  BOOST_TEST(scheduled == adamw_by_hand(o), exactly);
}

BOOST_AUTO_TEST_CASE(adamw_follows_its_rule) {
  for (const optim::adamw o : {optim::adamw{.learning_rate = 0.1}, {.learning_rate = 0.1, .beta1 = 0.5}, {.learning_rate = 0.1, .beta2 = 0.5},
                               {.learning_rate = 0.1, .epsilon = 0.5}, {.learning_rate = 0.1, .weight_decay = 0.3}}) {
    BOOST_TEST(after_three_steps(o) == adamw_by_hand(o), exactly);
    if (o.epsilon != 1e-8 || o.beta1 != 0.9 || o.beta2 != 0.999 || o.weight_decay != 0)
      BOOST_TEST(std::abs(after_three_steps(o) - after_three_steps(optim::adamw{.learning_rate = 0.1})) > 1e-4);
  }
}

BOOST_AUTO_TEST_CASE(moments_do_not_stay_subnormal) {
  const functor::adamw<float> adamw{1, 1, 0.9F, 0.99F, 0.1F, 0.01F, 0.1F, 1, 1e-8F};
  const functor::sgd_momentum<float> momentum{0.1F, 1, 0, 0.9F};
  float w = 1, m = 0, v = 0, velocity = 0;
  for (int step = 0; step < 20000; ++step) {  // long after three steps
    adamw(w, m, v, step < 3 ? 1e-3F : 0.0F);
    momentum(w, velocity, step < 3 ? 1e-3F : 0.0F);
  }
  for (const float moment : {m, v, velocity}) BOOST_TEST(moment == 0);
  m = 1e-38F, v = 2e-38F;
  adamw(w, m, v, 0.0F);
  BOOST_TEST(m == 0);
  BOOST_TEST(v == 0.99F * 2e-38F);
}

BOOST_AUTO_TEST_CASE(bad_settings_are_refused) {
  const std::vector<X> w{X(shape{1}, std::vector<double>{1})};
  BOOST_CHECK_THROW(static_cast<void>(optim::sgd{.learning_rate = -1}.start(w)), error);
  BOOST_CHECK_THROW(static_cast<void>(optim::sgd{.learning_rate = NAN}.start(w)), error);
  BOOST_CHECK_THROW(static_cast<void>(optim::sgd{.momentum = 1}.start(w)), error);
  BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.beta1 = 1}.start(w)), error);
  BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.beta2 = 1}.start(w)), error);
  BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.learning_rate = -1}.start(w)), error);
  const std::vector<tensor<float>> narrow{tensor<float>(shape{1}, std::vector<float>{1})};
  for (const double epsilon : {0.0, -1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.epsilon = epsilon}.start(w)), error);
  for (const double epsilon : {1e-50, 1e50}) {  // 0 and infinity as a float
    BOOST_CHECK_NO_THROW(static_cast<void>(optim::adamw{.epsilon = epsilon}.start(w)));
    BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.epsilon = epsilon}.start(narrow)), error);
  }
  for (const double decay : {-1.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    BOOST_CHECK_THROW(static_cast<void>(optim::sgd{.weight_decay = decay}.start(w)), error);
    BOOST_CHECK_THROW(static_cast<void>(optim::adamw{.weight_decay = decay}.start(w)), error);
  }
}

template <class Optimizer>
void check_that_numbers_fit(const Optimizer& o) {
  std::vector<X> one{X(shape{1}, std::vector<double>{1})}, two{clone(one[0]), clone(one[0])};
  auto state = o.start(two);
  BOOST_CHECK_THROW(state.update(two, one, 1, 1), error);
  BOOST_CHECK_THROW(state.update(one, one, 1, 1), error);
  BOOST_TEST(two[0].to_vector()[0] == 1);
  std::vector<X> fresh{clone(one[0]), clone(one[0])};
  const std::vector<X> gradients{one[0], one[0]};
  state.update(two, gradients, 1, 1);  // those that were refused are not counted
  o.start(fresh).update(fresh, gradients, 1, 1);
  BOOST_TEST(two[0].to_vector()[0] == fresh[0].to_vector()[0]);
}

BOOST_AUTO_TEST_CASE(gradients_or_moments_of_another_number_are_refused) {
  check_that_numbers_fit(optim::adamw{});
  check_that_numbers_fit(optim::sgd{.momentum = 0.5});
}

BOOST_AUTO_TEST_CASE(norms) {
  BOOST_TEST(optim::global_norm(std::vector<X>{X(shape{2}, std::vector<double>{3, 0}), X(shape{1}, std::vector<double>{4})}) == 5, exactly);
}

BOOST_AUTO_TEST_CASE(schedules) {
  BOOST_TEST(optim::constant_rate{}(17) == 1);
  BOOST_TEST(optim::linear_warm_up{4}(0) == 0.25);
  BOOST_TEST(optim::linear_warm_up{4}(3) == 1);
  BOOST_TEST(optim::linear_warm_up{4}(30) == 1);
  const optim::cosine c{.total = 10, .warm_up = 2, .floor = 0.1};
  BOOST_TEST(c(0) == 0.5);
  BOOST_TEST(c(2) == 1, exactly);
  BOOST_TEST(c(6) == 0.55, exactly);
  BOOST_TEST(c(10) == 0.1, exactly);
  BOOST_TEST(c(50) == 0.1, exactly);
}

BOOST_AUTO_TEST_SUITE_END()
