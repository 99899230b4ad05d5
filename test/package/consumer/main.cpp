#include <expunge/autodiff/elementwise.hpp>

#include <vector>

int main() {
  using namespace expunge;
  const tensor<float> x(shape{2, 2}, std::vector<float>{1, 2, 3, 4});
  tensor<float> y(shape{2, 2});
  gemm(false, true, 1.0F, x, x, 0.0F, y);
  return (y + y).to_vector() == std::vector<float>{10, 22, 22, 50} ? 0 : 1;
}
