// Learning-rate schedules: functions of the step (from 0) that give the factor on the learning rate.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

#include "expunge/core/shape.hpp"

namespace expunge::optim {

struct constant_rate {
  double operator()(index_t /*step*/) const { return 1; }
};

/// Rises linearly over `warm_up` steps (its first step has 1/warm_up), then stays.
struct linear_warm_up {
  index_t warm_up = 1;

  double operator()(index_t step) const {
    return std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(std::max<index_t>(1, warm_up)));
  }
};

/// Rises linearly over `warm_up` steps, then falls as half a cosine to `floor` at `total` steps.
struct cosine {
  index_t total = 1;
  index_t warm_up = 0;
  double floor = 0;

  double operator()(index_t step) const {
    if (step < warm_up) return linear_warm_up{warm_up}(step);
    const double progress = std::min(1.0, static_cast<double>(step - warm_up) / static_cast<double>(std::max<index_t>(1, total - warm_up)));
    return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
  }
};

}  // namespace expunge::optim
