#pragma once
// The native engine against the LibTorch engine.

#include <string>

namespace whence::bench {

/// Prints what a gradient with 1 and several replicas and a trace with 1 and several queries take by either
/// engine (microseconds a replica or query, on one thread), their ratio, and the native engine's GFLOP/s
/// beside the processor's peak, measured here. Both engines take turns; the smallest of many times counts.
/// `game`: "fcgan" for the published FCGAN and one of a single hidden layer a network (float64, mini-batch
/// 100), "mlp-vae" for the published one and a small one on 784 pixels (float64 and float32, mini-batch 64).
void print_engine_ratios(const std::string& game);

}  // namespace whence::bench
