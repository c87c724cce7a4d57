#include "whence/io/artifact.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/core/provenance.h"
#include "whence/core/settings_text.h"
#include "whence/io/checksum.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

std::string reason() { return std::strerror(errno); }

// A file descriptor that closes itself.
struct Descriptor {
  Descriptor(const std::string& path, int flags) : value(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (value < 0) fail("{}: cannot open it ({})", path, reason());
  }
  ~Descriptor() { ::close(value); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int value;
};

std::string folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

}  // namespace

void describe(const H5File& file, const Schema& schema, const Attributes& attributes) {
  file.set_attribute("schema", schema.name);
  file.set_attribute("schema_version", std::to_string(schema.version));
  file.set_attribute("whence_version", version());
  file.set_attribute("git_sha", git_sha());
  file.set_attribute("sign_convention", sign_convention);
  for (const auto& [name, value] : attributes) file.set_attribute(name, value);
}

H5File open_artifact(const std::string& path, const Schema& schema) {
  H5File file = H5File::open_to_read(path);
  if (file.attribute("schema") != schema.name)
    fail("{}: holds '{}', not '{}'", path, file.attribute("schema"), schema.name);
  if (file.attribute("schema_version") != std::to_string(schema.version))
    fail("{}: has version {} of the schema {}, but this Whence reads version {}", path,
         file.attribute("schema_version"), schema.name, schema.version);
  return file;
}

std::string difference(const H5File& file, const Attributes& wanted) {
  const auto names = file.attributes();
  std::string text;
  for (const auto& [name, value] : wanted) {
    const bool known = std::count(names.begin(), names.end(), name) > 0;
    const std::string differs = attribute_difference(name, known ? file.attribute(name) : "none", value);
    if (!differs.empty()) text += (text.empty() ? "" : "; ") + differs;
  }
  return text;
}

std::string content_fingerprint(const H5File& file) {
  auto names = file.arrays();
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names)
    text += fmt::format("{}={:08x}\n", name, file.array(name).sealed_crc());
  return fmt::format("{:08x}", crc32_of(text.data(), text.size()));
}

void write_artifact(const std::string& path, const Schema& schema, const Attributes& attributes,
                    const std::function<void(const H5File&)>& fill) {
  const std::string temporary = path + ".new";
  try {
    const H5File file = H5File::create(temporary);
    describe(file, schema, attributes);
    fill(file);
    file.flush();
  } catch (...) {
    std::remove(temporary.c_str());
    throw;
  }
  flush_to_disk(temporary);
  rename_durably(temporary, path);
}

bool goes_on(const std::string& part, const Schema& schema, const Attributes& attributes,
             Unfinished unfinished) {
  if (!fs::exists(part)) return false;
  std::string complaint;
  try {
    const H5File file = open_artifact(part, schema);
    if (const std::string differs = difference(file, attributes); !differs.empty())
      complaint =
          fmt::format("{}: was begun with other options ({}); the same options go on with it", part, differs);
  } catch (const Error& error) {
    complaint = error.what();
  }
  if (complaint.empty()) return true;
  if (unfinished == Unfinished::replace) return false;
  fail("{}, --overwrite starts again", complaint);
}

void remove_with_prefix(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder_of(path))) {
    const std::string other = entry.path().filename().string();
    if (other == name || other.rfind(name + ".", 0) == 0) found.push_back(entry.path());
  }
  for (const fs::path& file : found) fs::remove(file);
}

void flush_to_disk(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  if (::fsync(file.value) != 0) fail("{}: cannot flush it to disk ({})", path, reason());
}

void rename_durably(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) fail("{}: cannot rename it to {} ({})", from, to, reason());
  flush_to_disk(folder_of(to));
}

void write_text(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  {
    std::ofstream out(temporary, std::ios::binary);
    out << text;
    if (!out.flush()) {
      std::remove(temporary.c_str());
      fail("{}: cannot write it ({})", temporary, reason());
    }
  }
  flush_to_disk(temporary);
  rename_durably(temporary, path);
}

std::string read_text(const std::string& path) {
  std::error_code code;
  const auto status = fs::status(path, code);
  // Opening a pipe would wait for its other end, without end.
  if (fs::exists(status) && !fs::is_regular_file(status)) fail("{}: is not a file", path);
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("{}: cannot read it ({})", path, reason());
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) fail("{}: cannot read it ({})", path, reason());
  return text.str();
}

void reserve_on_disk(const std::string& path) {
  const Descriptor file(path, O_RDWR);
  struct stat status {};
  ::fstat(file.value, &status);
  // Some network file systems cannot reserve; then a full disk is found when it is met.
  const int code = ::posix_fallocate(file.value, 0, status.st_size);
  if (code == ENOSPC || code == EFBIG || code == EDQUOT)
    fail("{}: the disk has no room for its {} ({}; {} are free)", path,
         human_bytes(static_cast<double>(status.st_size)), std::strerror(code),
         human_bytes(free_disk(folder_of(path))));
}

double free_disk(const std::string& folder) {
  std::error_code code;
  fs::path there = fs::absolute(folder, code);
  while (!fs::exists(there, code) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, code);
  return code ? 0 : static_cast<double>(space.available);
}

void remove_mpi_locks(const std::string& path) {
  fs::remove(path + ".locktest.0");
  const std::string begin = fs::path(path).filename().string() + "-";
  for (const auto& entry : fs::directory_iterator(folder_of(path)))
    if (entry.path().extension() == ".lock" && entry.path().filename().string().rfind(begin, 0) == 0)
      fs::remove(entry.path());
}

}  // namespace whence
