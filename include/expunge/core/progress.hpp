// Progress events: long work reports to a callback and knows nothing of terminals.
#pragma once

#include <functional>
#include <string_view>

#include "expunge/core/shape.hpp"

namespace expunge {

/// One report of a task under way: `done` of `total` units.
struct progress_event {
  std::string_view task;
  index_t done = 0;
  index_t total = 0;
};

/// Called from the thread that runs the task. An empty callback means silence.
using progress_callback = std::function<void(const progress_event&)>;

}  // namespace expunge
