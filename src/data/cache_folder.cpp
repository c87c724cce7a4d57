#include "cache_folder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <regex>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/core/host.h"
#include "whence/core/progress.h"
#include "whence/io/artifact.h"
#include "whence/io/checksum.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// A page: what follows is read in whole pages.
constexpr std::size_t header_bytes = 4096;

std::string header_of(const Unpacked& unpacked) {
  struct stat status {};
  const std::string path = fs::absolute(unpacked.origin).string();
  if (::stat(path.c_str(), &status) != 0) fail("{}: cannot be opened ({})", path, std::strerror(errno));
  // A file that was replaced with its time kept still has another number, or was changed at another time.
  std::string text = fmt::format("whence rows 2\n{}\n{}\n{} bytes of {}.{:09}\nfile {}, changed {}.{:09}\n",
                                 path, unpacked.what, static_cast<std::int64_t>(status.st_size),
                                 static_cast<std::int64_t>(status.st_mtim.tv_sec), status.st_mtim.tv_nsec,
                                 static_cast<std::uint64_t>(status.st_ino),
                                 static_cast<std::int64_t>(status.st_ctim.tv_sec), status.st_ctim.tv_nsec);
  text.resize(header_bytes, '\0');
  return text;
}

// A turn at a file, for one process at a time; of no effect where the file system has no locks, and there two
// processes may do the same work.
class Turn {
 public:
  explicit Turn(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    while (file_ >= 0 && ::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Turn() {
    if (file_ >= 0) ::close(file_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  int file_;
};

// Where a whole file of this header lies at `path`; no path where there is none.
CachedFile found(const std::string& path, const std::string& header) {
  std::string there(header.size(), '\0');
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  struct stat status {};
  const bool whole = ::fstat(file, &status) == 0 &&
                     ::pread(file, there.data(), there.size(), 0) == static_cast<ssize_t>(there.size()) &&
                     there == header;
  ::close(file);
  if (!whole) return {};
  const auto begin = static_cast<std::int64_t>(header.size());
  return {path, begin, status.st_size - begin};
}

class Writer {
 public:
  Writer(std::string path, const Unpacked& unpacked)
      : path_(std::move(path)),
        unpacked_(unpacked),
        file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (file_ < 0) give_up();
  }
  ~Writer() {
    if (file_ >= 0) ::close(file_);
    if (!kept_) ::unlink(path_.c_str());
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void write(const void* bytes, std::size_t count) {
    const char* from = static_cast<const char*>(bytes);
    while (count > 0) {
      const ssize_t done = ::write(file_, from, std::min<std::size_t>(count, 1 << 30));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) give_up();
      from += done;
      count -= static_cast<std::size_t>(done);
    }
  }

  void keep_as(const std::string& path) {
    if (::fsync(file_) != 0 || ::close(file_) != 0) give_up();
    file_ = -1;
    rename_durably(path_, path);
    kept_ = true;
  }

 private:
  [[noreturn]] void give_up() const {
    fail(
        "{}: cannot be written ({}), but {} has to be unpacked there; --data-cache names another folder, and "
        "--data-memory holds in memory what takes no more than it says",
        path_, std::strerror(errno), unpacked_.origin);
  }

  std::string path_;
  const Unpacked& unpacked_;
  int file_;
  bool kept_ = false;
};

}  // namespace

std::string own_name(const std::string& path) {
  return fmt::format("{}.{}.{}", path, host_name(), ::getpid());
}

void remove_left_over(const std::string& path) {
  constexpr auto long_ago = std::chrono::hours(24);
  const fs::path place(path);
  const std::string begin = place.filename().string() + ".";
  const std::regex host_and_process("(.+)\\.([0-9]{1,9})(\\.new)?");
  std::error_code code;
  for (fs::directory_iterator entry(place.parent_path(), code), end; !code && entry != end;
       entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    std::smatch found;
    const std::string rest = name.rfind(begin, 0) == 0 ? name.substr(begin.size()) : "";
    if (!std::regex_match(rest, found, host_and_process)) continue;
    std::error_code ignored;
    const bool here = found[1] == host_name();
    const bool ended =
        here ? ::kill(std::stoi(found[2]), 0) != 0 && errno == ESRCH
             : entry->last_write_time(ignored) + long_ago < fs::file_time_type::clock::now() && !ignored;
    if (ended) fs::remove(entry->path(), ignored);
  }
}

std::string cache_folder(const DataAccess& access) {
  if (!access.cache.empty()) return fs::absolute(access.cache).string();
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/whence";
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/whence";
  std::error_code ignored;
  const fs::path temporary = fs::temp_directory_path(ignored);
  return fmt::format("{}/whence-{}", ignored ? "/tmp" : temporary.string(), ::getuid());
}

CachedFile cached(const Unpacked& unpacked, const DataAccess& access,
                  const std::function<void(const Sink&)>& write) {
  const std::string folder = cache_folder(access), header = header_of(unpacked);
  // By place alone: what is unpacked of a newer file takes the place of the older.
  const std::string place = fs::absolute(unpacked.origin).string() + "\n" + unpacked.what;
  const std::string path =
      fmt::format("{}/{}-{:08x}{:08x}.rows", folder, fs::path(unpacked.origin).filename().string(),
                  crc32_of(place.data(), place.size()), crc32_of(place.data(), place.size(), 1));
  if (CachedFile there = found(path, header); !there.path.empty()) return there;
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) fail("--data-cache: cannot create {} ({})", folder, code.message());
  const Turn turn(path + ".lock");
  if (CachedFile there = found(path, header); !there.path.empty()) return there;
  remove_left_over(path);
  const double room = free_disk(folder);
  if (unpacked.bytes > 0 && room < static_cast<double>(unpacked.bytes))
    fail(
        "{}: has room for {}, but {} takes {} unpacked; --data-cache names another folder, and --data-memory "
        "holds in memory what takes no more than it says",
        folder, human_bytes(room), unpacked.origin, human_bytes(static_cast<double>(unpacked.bytes)));
  access.announce(fmt::format("unpacking {} into {}, once for all jobs", unpacked.origin, path));
  Writer file(own_name(path), unpacked);
  file.write(header.data(), header.size());
  write([&file](const void* bytes, std::size_t count) { file.write(bytes, count); });
  if (header_of(unpacked) != header) fail("{}: was changed while it was unpacked", unpacked.origin);
  file.keep_as(path);
  return found(path, header);
}

}  // namespace whence
