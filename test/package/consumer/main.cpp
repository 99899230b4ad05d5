#include <expunge/core/random.hpp>
#include <expunge/core/thread_pool.hpp>
#include <vector>

int main() {
  std::vector<double> values(1000);
  expunge::parallel_blocks(1000, 100, [&](expunge::index_t begin, expunge::index_t end) {
    for (expunge::index_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] = 1.0;
  });
  for (const double value : values)
    if (value != 1.0) return 1;
  return 0;
}
