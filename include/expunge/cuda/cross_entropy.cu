// Softmax cross-entropy: a block of threads for each row.
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/cross_entropy_rows.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

constexpr unsigned threads = 512;

template <class T>
__global__ void forward_kernel(const T* logits, const std::int32_t* labels, T smoothing, index_t cols, T* nll, T* lse) {
  const block_lanes lanes;
  const T* const none = nullptr;
  cross_entropy_row<T, block_lanes>(lanes, logits, labels, smoothing, cols, none, none, blockIdx.x).forward(nll + blockIdx.x, lse + blockIdx.x);
}
template <class T>
__global__ void pushforward_kernel(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits, index_t cols, T* dnll) {
  const block_lanes lanes;
  cross_entropy_row<T, block_lanes>(lanes, logits, labels, smoothing, cols, lse, dlogits, blockIdx.x).pushforward(dnll + blockIdx.x);
}
/// The pullback where dlogits and dnll_bar are null and `tangent` is not set.
template <class T>
__global__ void pullback_kernel(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits, const T* nll_bar,
                                const T* dnll_bar, bool tangent, index_t cols, T* bar) {
  const block_lanes lanes;
  const cross_entropy_row<T, block_lanes> at(lanes, logits, labels, smoothing, cols, lse, dlogits, blockIdx.x);
  T* const to = bar + blockIdx.x * cols;
  if (tangent) at.pullback_tangent(nll_bar[blockIdx.x], dnll_bar != nullptr ? dnll_bar[blockIdx.x] : T{0}, to);
  else at.pullback(nll_bar[blockIdx.x], to);
}

}  // namespace

template <class T>
void cross_entropy(const T* logits, const std::int32_t* labels, T smoothing, index_t rows, index_t cols, T* nll, T* lse) {
  detail::launch("cross_entropy", forward_kernel<T>, static_cast<unsigned>(rows), threads, 0, logits, labels, smoothing, cols, nll, lse);
}

template <class T>
void cross_entropy_pushforward(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits, index_t rows, index_t cols,
                               T* dnll) {
  detail::launch("cross_entropy_pushforward", pushforward_kernel<T>, static_cast<unsigned>(rows), threads, 0, logits, labels, smoothing, lse, dlogits,
                 cols, dnll);
}

template <class T>
void cross_entropy_pullback(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* nll_bar, index_t rows, index_t cols,
                            T* logits_bar) {
  if (logits_bar == nullptr) return;
  const T* const none = nullptr;
  detail::launch("cross_entropy_pullback", pullback_kernel<T>, static_cast<unsigned>(rows), threads, 0, logits, labels, smoothing, lse, none, nll_bar,
                 none, false, cols, logits_bar);
}

template <class T>
void cross_entropy_pullback_tangent(const T* logits, const std::int32_t* labels, T smoothing, const T* lse, const T* dlogits, const T* nll_bar,
                                    const T* dnll_bar, index_t rows, index_t cols, T* dlogits_bar) {
  if (dlogits_bar == nullptr) return;
  detail::launch("cross_entropy_pullback_tangent", pullback_kernel<T>, static_cast<unsigned>(rows), threads, 0, logits, labels, smoothing, lse,
                 dlogits, nll_bar, dnll_bar, true, cols, dlogits_bar);
}

#define EXPUNGE_KERNELS(T) &cross_entropy<T>, &cross_entropy_pushforward<T>, &cross_entropy_pullback<T>, &cross_entropy_pullback_tangent<T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)

}  // namespace expunge::cuda
