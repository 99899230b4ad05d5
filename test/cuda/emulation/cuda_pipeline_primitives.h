// Asynchronous copies into shared memory. They come as late as they may: when their thread waits for them.
#pragma once

#include <cstddef>

void __pipeline_memcpy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros = 0);  // the last of the bytes
void __pipeline_commit();
void __pipeline_wait_prior(std::size_t batches);
