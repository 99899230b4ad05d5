// Optimizer policies: SGD with momentum and AdamW. Settings are aggregates; run state is built when the parameters are known.
#pragma once

#include <cmath>
#include <concepts>
#include <string_view>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/optim/functor.hpp"
#include "expunge/tensor/math.hpp"

namespace expunge::optim {

/// Settings that know how to start: `start(parameters)` gives an object with
/// `update(parameters, gradients, learning_rate_factor, gradient_factor)`: a step of learning_rate * learning_rate_factor (the schedule's) along
/// gradients * gradient_factor (clipping), written into the parameters' memory (update_in_place, map_in_place): they are the model's, so that
/// a tensor that takes the place of one changes nothing.
template <class O, class X>
concept optimizer_policy = requires(const O& o, std::vector<X>& parameters, const std::vector<X>& gradients) {
  { o.learning_rate } -> std::convertible_to<double>;
  o.start(parameters).update(parameters, gradients, 1.0, 1.0);
};

namespace detail {
inline void check_not_negative(std::string_view who, std::string_view name, double value) {
  require(std::isfinite(value) && value >= 0, who, ": ", name, " is ", value, ", expected a finite number >= 0");
}
inline void check_fraction(std::string_view who, std::string_view name, double value) {
  require(value >= 0 && value < 1, who, ": ", name, " is ", value, ", expected a number in [0, 1)");
}
}  // namespace detail

template <class X>
class sgd_state;

/// v = momentum v + g + weight_decay w;  w -= learning_rate v. Without momentum no v is stored.
struct sgd {
  double learning_rate = 1e-2;
  double momentum = 0;
  double weight_decay = 0;

  template <class X>
  [[nodiscard]] sgd_state<X> start(const std::vector<X>& parameters) const;
};

template <class X>
class sgd_state {
 public:
  using T = typename X::value_type;

  sgd_state(const sgd& settings, const std::vector<X>& parameters) : settings_(settings) {
    if (settings.momentum != 0)
      for (const X& p : parameters) velocity_.push_back(zeros<X>(p.extents()));
  }

  void update(std::vector<X>& parameters, const std::vector<X>& gradients, double rate_factor, double gradient_factor) {
    const T rate = static_cast<T>(settings_.learning_rate * rate_factor);
    const T scale = static_cast<T>(gradient_factor);
    const T decay = static_cast<T>(settings_.weight_decay), momentum = static_cast<T>(settings_.momentum);
    if (velocity_.empty()) update_in_place(functor::sgd<T>{rate, scale, decay}, parameters, gradients);
    else update_in_place(functor::sgd_momentum<T>{rate, scale, decay, momentum}, parameters, velocity_, gradients);
  }

 private:
  sgd settings_;
  std::vector<X> velocity_;
};

template <class X>
sgd_state<X> sgd::start(const std::vector<X>& parameters) const {
  detail::check_not_negative("sgd", "learning_rate", learning_rate);
  detail::check_fraction("sgd", "momentum", momentum);
  detail::check_not_negative("sgd", "weight_decay", weight_decay);
  return {*this, parameters};
}

template <class X>
class adamw_state;

/// AdamW with bias correction and decoupled weight decay (Loshchilov and Hutter 2019), as in PyTorch:
/// w -= lr weight_decay w;  w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
struct adamw {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;

  template <class X>
  [[nodiscard]] adamw_state<X> start(const std::vector<X>& parameters) const;
};

template <class X>
class adamw_state {
 public:
  using T = typename X::value_type;

  adamw_state(const adamw& settings, const std::vector<X>& parameters) : settings_(settings) {
    for (const X& p : parameters) {
      first_.push_back(zeros<X>(p.extents()));
      second_.push_back(zeros<X>(p.extents()));
    }
  }

  void update(std::vector<X>& parameters, const std::vector<X>& gradients, double rate_factor, double gradient_factor) {
    const double step = step_ + 1, rate = settings_.learning_rate * rate_factor;
    const T keep = static_cast<T>(1 - rate * settings_.weight_decay), scale = static_cast<T>(gradient_factor);
    const T b1 = static_cast<T>(settings_.beta1), b2 = static_cast<T>(settings_.beta2);
    const T c1 = static_cast<T>(1 - settings_.beta1), c2 = static_cast<T>(1 - settings_.beta2);
    const T size = static_cast<T>(rate / (1 - std::pow(settings_.beta1, step)));
    const T correction = static_cast<T>(1 / std::sqrt(1 - std::pow(settings_.beta2, step)));
    const T epsilon = static_cast<T>(settings_.epsilon);
    update_in_place(functor::adamw<T>{keep, scale, b1, b2, c1, c2, size, correction, epsilon}, parameters, first_, second_, gradients);
    step_ = step;  // not where that refused
  }

 private:
  adamw settings_;
  std::vector<X> first_, second_;
  double step_ = 0;
};

template <class X>
adamw_state<X> adamw::start(const std::vector<X>& parameters) const {
  detail::check_not_negative("adamw", "learning_rate", learning_rate);
  detail::check_fraction("adamw", "beta1", beta1);
  detail::check_fraction("adamw", "beta2", beta2);
  const auto rounded = static_cast<typename X::value_type>(epsilon);
  require(std::isfinite(rounded) && rounded > 0, "adamw: epsilon is ", epsilon,
          ", expected a number that is positive and finite in the precision of the parameters");
  detail::check_not_negative("adamw", "weight_decay", weight_decay);
  return {*this, parameters};
}

/// The Euclidean norm over all tensors, accumulated in double; waits for the device once.
template <class X>
double global_norm(const std::vector<X>& tensors) {
  auto total = zeros<device_sum<X>>(shape{1});
  add_sum_of_squares(total, tensors);
  return std::sqrt(value_of(total));
}

}  // namespace expunge::optim

EXPUNGE_INSTANCES(EXPUNGE_OPTIM_MAPS, EXPUNGE_HOST_MAP)
