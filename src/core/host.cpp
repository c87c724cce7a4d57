#include "whence/core/host.h"

#include <climits>
#include <unistd.h>

namespace whence {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, HOST_NAME_MAX);
  return name;
}

}  // namespace whence
