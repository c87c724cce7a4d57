#include "packed_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "whence/core/error.h"

namespace whence {
namespace {

// Opening a pipe without a writer would wait for one, without end: this way it is an empty file. Reading one
// that has a writer waits for it, as always.
gzFile open_without_waiting(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat status {};
  if (::fstat(file, &status) == 0 && (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))) {
    ::close(file);
    fail("{}: is a device, not a file", path);  // /dev/zero has no end
  }
  ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) & ~O_NONBLOCK);
  const gzFile opened = gzdopen(file, "rb");
  if (opened == nullptr) ::close(file);
  return opened;
}

}  // namespace

PackedFile::PackedFile(const std::string& path) : path_(path), file_(open_without_waiting(path), &gzclose) {
  if (!file_)
    fail("{}: cannot be opened ({})", std::filesystem::absolute(path).string(), std::strerror(errno));
  gzbuffer(file_.get(), 1 << 18);
}

std::size_t PackedFile::read(std::uint8_t* out, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    const auto want = static_cast<unsigned>(std::min<std::size_t>(count - done, 1 << 30));
    const int got = gzread(file_.get(), out + done, want);
    if (got > 0) done += static_cast<std::size_t>(got);
    // A gzip stream cut short counts as data, then an end: only the error state tells it from a whole one.
    if (got < static_cast<int>(want)) {
      check();
      break;
    }
  }
  return done;
}

bool PackedFile::packed() const { return gzdirect(file_.get()) == 0; }

void PackedFile::check() const {
  int code = Z_OK;
  std::string cause = gzerror(file_.get(), &code);
  if (code == Z_OK) return;
  // zlib puts its own name of the file before its messages; ours has the path already.
  const std::size_t end = cause.find(">: ");
  if (cause.rfind("<fd:", 0) == 0 && end != std::string::npos) cause.erase(0, end + 3);
  fail("{}: cannot be read ({})", path_, cause);
}

}  // namespace whence
