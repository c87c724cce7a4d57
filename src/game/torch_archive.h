#pragma once
// The archives that torch.save and torch.jit.save write: zip files. LibTorch's reader leaves out their
// checksums, so that damaged numbers would pass.

#include <string>

namespace whence {

/// The whole file, every record of which has the checksum that the archive says. `what` it should be, e.g.
/// "no exported model", begins the reason. Error naming `path` when it cannot be read, is no such archive, is
/// cut short or damaged.
std::string read_torch_archive(const std::string& path, const std::string& what);

}  // namespace whence
