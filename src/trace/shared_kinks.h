#pragma once
// Units in reach that one rank has found, for all ranks.

#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"

#include "kinks_in_reach.h"

namespace whence {

/// Every rank's tensor [n] (contiguous, float64, in host memory): [ranks, n]. Collective.
at::Tensor of_all_ranks(const at::Tensor& own, const Communicator& ranks);

/// What all ranks have found, rank by rank; moves are carried along all of them. Collective.
std::vector<KinksInReach> shared_kinks(const std::vector<KinksInReach>& own, const Communicator& ranks);

}  // namespace whence
