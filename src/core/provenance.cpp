#include "whence/core/provenance.h"

#include "whence_version.h"

namespace whence {

std::string version() { return WHENCE_VERSION; }
std::string git_sha() { return WHENCE_GIT_SHA; }

}  // namespace whence
