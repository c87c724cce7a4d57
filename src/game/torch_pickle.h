#pragma once
// What torch.save wrote, without Python. LibTorch 1.13's own unpickler knows neither dictionaries of one item
// nor an OrderedDict in another dictionary, and stops at every class that it does not know.

#include <map>
#include <string>

#include <ATen/core/Tensor.h>

namespace whence {

/// All tensors that dictionaries with text as keys hold, one in another, by their keys with dots between
/// them. Objects of classes are passed over (but for what is set in them by key), and nothing of the file
/// runs. `bytes`: of a whole archive (read_torch_archive). std::runtime_error with a reason where it is no
/// such file.
std::map<std::string, at::Tensor> pickled_tensors(const std::string& bytes);

/// The same for the record NAME.pkl of any archive of PyTorch, only to look: std::runtime_error where a
/// tensor reaches beyond the numbers that are there, which LibTorch does not look after.
void check_tensors(const std::string& bytes, const std::string& name);

}  // namespace whence
