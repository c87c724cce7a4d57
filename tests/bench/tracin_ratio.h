#pragma once
// VAE-TracIn against the published way: one backward pass an instance through m forward passes.

#include <string>

namespace whence::bench {

/// Prints, for mlp-vae with latents of `latent` numbers on random pixels, seconds an instance of
/// self-influence and of scores with `queries` queries in both ways, their ratios (medians of `rounds` rounds
/// that take turns, one thread) and the largest relative difference of the scores with the same noise. The
/// published way takes `slice` instances.
void print_tracin_ratio(std::int64_t latent, std::int64_t queries, std::int64_t slice, std::int64_t rounds,
                        const std::string& dtype);

}  // namespace whence::bench
