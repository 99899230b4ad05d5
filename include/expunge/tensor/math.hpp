// The arithmetic of tensors, without differentiation.
#pragma once

#include "expunge/tensor/elementwise.hpp"
#include "expunge/tensor/products.hpp"
#include "expunge/tensor/sums.hpp"
