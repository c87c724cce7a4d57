#pragma once
// DCGAN steps: plain LibTorch calls against the native kernels.

#include <cstdint>
#include <string>

namespace whence::bench {

/// Prints, for the published DCGAN with `channels` channels (mini-batch 100, one thread), what a training
/// step (gradient and move) with 1 and 4 replicas and a trace with 1 and 4 queries take in milliseconds a
/// replica or query: by automatic differentiation of grouped at::conv2d and at::conv_transpose2d calls, and
/// by the native engine; after a check that both give the same numbers. All take turns; the smallest of
/// `turns` CPU times counts. dtype: "float32" or "float64".
void print_conv_steps(std::int64_t channels, const std::string& dtype, std::int64_t turns);

}  // namespace whence::bench
