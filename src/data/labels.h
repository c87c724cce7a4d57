#pragma once
// Labels as files hold them.

#include <string>

#include <ATen/core/Tensor.h>

namespace whence {

/// `labels` ([N] int64) as they are. Error naming `place` and the row where one is negative, or too large to
/// be the number of a class.
at::Tensor checked_labels(const at::Tensor& labels, const std::string& place);

}  // namespace whence
