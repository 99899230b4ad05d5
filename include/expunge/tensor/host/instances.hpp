// Kernels compiled once instead of in every program. A list of them is a macro LIST(ENTRY, T) that names each by ENTRY(...); a header
// that says EXPUNGE_INSTANCES(LIST, ENTRY) makes programs that link expunge::compiled leave them to that target.
#pragma once

#include "expunge/core/shape.hpp"

#if defined(EXPUNGE_INSTANCE)  // float or double, in the target's sources of kernels
#define EXPUNGE_TEMPLATE template
#define EXPUNGE_INSTANCES(LIST, ENTRY) LIST(ENTRY, EXPUNGE_INSTANCE)
#elif defined(EXPUNGE_COMPILED)  // in programs that link the target
#define EXPUNGE_TEMPLATE extern template
#define EXPUNGE_INSTANCES(LIST, ENTRY) LIST(ENTRY, float) LIST(ENTRY, double)
#else
#define EXPUNGE_INSTANCES(LIST, ENTRY)
#endif

/// A kernel by its name.
#define EXPUNGE_HOST_KERNEL(NAME, T) EXPUNGE_TEMPLATE decltype(expunge::host::NAME<T>) expunge::host::NAME<T>;
/// The kernel `map` for a functor and the arrays that it takes.
#define EXPUNGE_HOST_MAP(F, ...) EXPUNGE_TEMPLATE void expunge::host::map(expunge::index_t, const F&, __VA_ARGS__);
/// The kernel `map_sum` likewise.
#define EXPUNGE_HOST_MAP_SUM(F, ...) EXPUNGE_TEMPLATE void expunge::host::map_sum(expunge::index_t, const F&, double, double*, __VA_ARGS__);
