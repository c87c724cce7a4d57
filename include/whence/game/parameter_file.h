#pragma once
// A game's parameters from a file of PyTorch.

#include <string>

#include <ATen/core/Tensor.h>

#include "whence/net/layout.h"

namespace whence {

/// theta [P] from a model of whence.export (the numbers that it starts from) or from what torch.save wrote:
/// dictionaries, one in another, from names to tensors. `key`: only what is under this name; "": all. A
/// tensor is taken by its name in the layout, which may have `module.` before it and, in a game of one
/// player, lack the player's. Nothing of the file is run. UsageError naming --from and the file when it
/// cannot be read or a tensor is missing or has another shape.
at::Tensor parameters_in_file(const std::string& path, const std::string& key, const ParameterLayout& layout,
                              at::ScalarType dtype);

}  // namespace whence
