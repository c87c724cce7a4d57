#pragma once
// The native engine against the LibTorch engine.

namespace whence::bench {

/// Prints, for the published FCGAN and for one of a single hidden layer a network (float64, mini-batch 100),
/// what a gradient with 1 and 32 replicas and a trace with 1 and 8 queries take by either engine
/// (microseconds a replica or query, on one thread), their ratio, and the native engine's GFLOP/s beside the
/// processor's peak, measured here. Both engines take turns; the smallest of many times counts.
void print_engine_ratios();

}  // namespace whence::bench
