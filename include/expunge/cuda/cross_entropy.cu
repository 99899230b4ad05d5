// Softmax cross-entropy: a block of threads for each row.
#include "expunge/cuda/block_lanes.cuh"
#include "expunge/cuda/launch.cuh"
#include "expunge/tensor/cuda/cross_entropy_rows.hpp"
#include "expunge/tensor/cuda/kernels.hpp"

namespace expunge::cuda {

namespace {

constexpr unsigned threads = 512;

template <class T>
__global__ void statistics_kernel(const T* z, const std::int32_t* labels, index_t first, index_t cols, T* largest, T* others, T* of_label, T* total) {
  detail::wait_for_earlier_work();
  const index_t r = blockIdx.x;
  const block_lanes lanes;
  logit_row<T, block_lanes>(lanes, z, labels, first, cols, r).statistics(largest + r, others + r, of_label + r, total != nullptr ? total + r : total);
}
template <class T>
__global__ void statistics_tangent_kernel(const T* z, const std::int32_t* labels, index_t first, const T* lse, const T* dz, index_t cols, T* expected,
                                          T* dlabel, T* dtotal) {
  detail::wait_for_earlier_work();
  const index_t r = blockIdx.x;
  const block_lanes lanes;
  logit_row<T, block_lanes>(lanes, z, labels, first, cols, r)
      .statistics_tangent(lse[r], dz + r * cols, expected + r, dlabel + r, dtotal != nullptr ? dtotal + r : dtotal);
}
template <class T, class Z>
__global__ void pullback_kernel(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others,
                                const T* nll_bar, index_t cols, Z* bar) {
  detail::wait_for_earlier_work();
  const index_t r = blockIdx.x;
  const block_lanes lanes;
  logit_row<T, block_lanes>(lanes, z, labels, first, cols, r).pullback(smoothing, floor, lse[r], others[r], nll_bar[r], bar + r * cols);
}
template <class T, class Z>
__global__ void pullback_tangent_kernel(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others,
                                        const T* dz, const T* dlabel, const T* beyond, const T* nll_bar, const T* dnll_bar, index_t cols, Z* dbar) {
  detail::wait_for_earlier_work();
  const index_t r = blockIdx.x;
  const block_lanes lanes;
  logit_row<T, block_lanes>(lanes, z, labels, first, cols, r)
      .pullback_tangent(smoothing, floor, lse[r], others[r], dz + r * cols, dlabel[r], beyond[r], nll_bar[r],
                        dnll_bar != nullptr ? dnll_bar[r] : T{0}, dbar + r * cols);
}

}  // namespace

template <class T>
void softmax_statistics(const T* z, const std::int32_t* labels, index_t first, index_t rows, index_t cols, T* largest, T* others, T* of_label, T* total) {
  detail::launch("softmax_statistics", statistics_kernel<T>, static_cast<unsigned>(rows), threads, 0, z, labels, first, cols, largest, others, of_label,
                 total);
}

template <class T>
void softmax_statistics_tangent(const T* z, const std::int32_t* labels, index_t first, const T* lse, const T* dz, index_t rows, index_t cols,
                                T* expected, T* dlabel, T* dtotal) {
  detail::launch("softmax_statistics_tangent", statistics_tangent_kernel<T>, static_cast<unsigned>(rows), threads, 0, z, labels, first, lse, dz, cols,
                 expected, dlabel, dtotal);
}

template <class T, class Z>
void cross_entropy_pullback(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others, const T* nll_bar,
                            index_t rows, index_t cols, Z* z_bar) {
  detail::launch("cross_entropy_pullback", pullback_kernel<T, Z>, static_cast<unsigned>(rows), threads, 0, z, labels, first, smoothing, floor, lse, others,
                 nll_bar, cols, z_bar);
}

template <class T, class Z>
void cross_entropy_pullback_tangent(const T* z, const std::int32_t* labels, index_t first, T smoothing, T floor, const T* lse, const T* others,
                                    const T* dz, const T* dlabel, const T* beyond, const T* nll_bar, const T* dnll_bar, index_t rows, index_t cols,
                                    Z* dz_bar) {
  detail::launch("cross_entropy_pullback_tangent", pullback_tangent_kernel<T, Z>, static_cast<unsigned>(rows), threads, 0, z, labels, first, smoothing,
                 floor, lse, others, dz, dlabel, beyond, nll_bar, dnll_bar, cols, dz_bar);
}

#define EXPUNGE_KERNELS(T) \
  &softmax_statistics<T>, &softmax_statistics_tangent<T>, &cross_entropy_pullback<T, T>, &cross_entropy_pullback_tangent<T, T>
EXPUNGE_CUDA_KEEP(EXPUNGE_KERNELS)
EXPUNGE_CUDA_KEEP_ALSO(&cross_entropy_pullback<float, bfloat16>, &cross_entropy_pullback_tangent<float, bfloat16>)

}  // namespace expunge::cuda
