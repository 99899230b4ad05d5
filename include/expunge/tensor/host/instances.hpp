// What is compiled once instead of in every program: kernels, and the operations on them. A list is a macro LIST(ENTRY, T) that names each
// by ENTRY(...); a header that says EXPUNGE_INSTANCES(LIST, ENTRY) makes programs that link expunge::compiled leave them to that target.
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

#if defined(EXPUNGE_OPERATION_INSTANCE)  // in its sources of operations, which link the kernels
#define EXPUNGE_OPERATION_TEMPLATE template
#define EXPUNGE_OPERATION_INSTANCES(LIST) LIST(EXPUNGE_OPERATION, EXPUNGE_OPERATION_INSTANCE)
#elif defined(EXPUNGE_COMPILED)
#define EXPUNGE_OPERATION_TEMPLATE extern template
#define EXPUNGE_OPERATION_INSTANCES(LIST) LIST(EXPUNGE_OPERATION, float) LIST(EXPUNGE_OPERATION, double)
#else
#define EXPUNGE_OPERATION_INSTANCES(LIST)
#endif

/// A kernel by its name.
#define EXPUNGE_HOST_KERNEL(NAME, T) EXPUNGE_TEMPLATE decltype(expunge::host::NAME<T>) expunge::host::NAME<T>;
/// The kernel `map` for a functor and the arrays that it takes.
#define EXPUNGE_HOST_MAP(F, ...) EXPUNGE_TEMPLATE void expunge::host::map(expunge::index_t, const F&, __VA_ARGS__);
/// The kernel `map_sum` likewise.
#define EXPUNGE_HOST_MAP_SUM(F, ...) EXPUNGE_TEMPLATE void expunge::host::map_sum(expunge::index_t, const F&, double, double*, __VA_ARGS__);

/// apply() of a rule on tensors of T, evaluated and recorded. REPEAT(V) says `, const V&` for each input behind the first.
#define EXPUNGE_OPERATION(T, REPEAT, ...)                                           \
  EXPUNGE_APPLY(expunge::tensor<T>, REPEAT, __VA_ARGS__)                            \
  EXPUNGE_APPLY(expunge::var<expunge::tensor<T>>, REPEAT, __VA_ARGS__)              \
  EXPUNGE_APPLY(expunge::var<expunge::dual<expunge::tensor<T>>>, REPEAT, __VA_ARGS__)
#define EXPUNGE_APPLY(V, REPEAT, ...) EXPUNGE_OPERATION_TEMPLATE V expunge::apply(__VA_ARGS__, const V& REPEAT(V));
#define EXPUNGE_UNARY(V)
#define EXPUNGE_BINARY(V) , const V&
#define EXPUNGE_TERNARY(V) , const V&, const V&
