// Operations compiled once instead of in every program, as tensor/host/instances.hpp has it for kernels: a list is a macro
// LIST(OPERATION, T), which EXPUNGE_OPERATION_INSTANCES(LIST) leaves to expunge::compiled.
#pragma once

#if defined(EXPUNGE_OPERATION_INSTANCE)  // float or double, in that target's sources of operations, which leave the kernels to its others
#define EXPUNGE_OPERATION_TEMPLATE template
#define EXPUNGE_OPERATION_INSTANCES(LIST) LIST(EXPUNGE_OPERATION, EXPUNGE_OPERATION_INSTANCE)
#elif defined(EXPUNGE_COMPILED)  // in programs that link the target
#define EXPUNGE_OPERATION_TEMPLATE extern template
#define EXPUNGE_OPERATION_INSTANCES(LIST) LIST(EXPUNGE_OPERATION, float) LIST(EXPUNGE_OPERATION, double)
#else
#define EXPUNGE_OPERATION_INSTANCES(LIST)
#endif

/// apply() of a rule on tensors of T, evaluated and recorded. REPEAT(V) says `, const V&` for each input behind the first.
#define EXPUNGE_OPERATION(T, REPEAT, ...)                                           \
  EXPUNGE_APPLY(expunge::tensor<T>, REPEAT, __VA_ARGS__)                            \
  EXPUNGE_APPLY(expunge::var<expunge::tensor<T>>, REPEAT, __VA_ARGS__)              \
  EXPUNGE_APPLY(expunge::var<expunge::dual<expunge::tensor<T>>>, REPEAT, __VA_ARGS__)
#define EXPUNGE_APPLY(V, REPEAT, ...) EXPUNGE_OPERATION_TEMPLATE V expunge::apply(__VA_ARGS__, const V& REPEAT(V));
#define EXPUNGE_UNARY(V)
#define EXPUNGE_BINARY(V) , const V&
#define EXPUNGE_TERNARY(V) , const V&, const V&
#define EXPUNGE_QUATERNARY(V) , const V&, const V&, const V&
