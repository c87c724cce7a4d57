#pragma once
// The machine that this process runs on.

#include <string>

namespace whence {

std::string host_name();

}  // namespace whence
