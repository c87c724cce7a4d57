// whence info PLACE: the contents of a file or a run folder in words. whence info --devices: what could be
// computed on.
// whence info --site FOLDER: whether this is a place for Whence.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/device/devices.h"
#include "whence/io/hdf5.h"

#include "folder_in_words.h"
#include "job.h"
#include "run_files.h"
#include "site.h"

namespace whence {
namespace {

std::string indented(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? "\n    " : std::string(1, c);
  while (!result.empty() && (result.back() == ' ' || result.back() == '\n')) result.pop_back();
  return result;
}

std::string matrix_products_in_words() {
  const MatrixKernels kernels = choose_matrix_kernels(true);
  const auto library = matrix_library_of_libtorch();
  std::string text = "matrix products on the cpu: " + matrix_kernels_in_use();
  if (library != nullptr)
    text += fmt::format(", {:.0f} GFLOP/s (float32, one thread)",
                        kernels.used_gflops > 0 ? kernels.used_gflops : measured_gflops(*library));
  const std::string choice = in_words(kernels);
  return text + "\n" + (choice.empty() ? "" : choice + "\n");
}

std::string devices_in_words() {
  const VisibleDevices visible = visible_devices();
  if (visible.lines.empty())
    return fmt::format("cpu alone: {}\n", visible.reason) + matrix_products_in_words();
  std::string text;
  for (const std::string& line : visible.lines) text += "cuda " + line + "\n";
  return text + matrix_products_in_words();
}

std::string file_in_words(const std::string& path) {
  const H5File file = H5File::open_to_read(path);
  std::string text = fmt::format("{}: {}, {} on disk\n", path, file.attribute("schema"),
                                 human_bytes(static_cast<double>(std::filesystem::file_size(path))));
  for (const std::string& name : file.attributes()) {
    const std::string value = file.attribute(name);
    text += fmt::format("  {}: {}{}\n", name, value.find('\n') == std::string::npos ? "" : "\n    ",
                        indented(value));
  }
  for (const std::string& name : file.arrays()) {
    const H5Array array = file.array(name);
    text += fmt::format("  array {:<16} {:<8} [{}]\n", name, at::toString(array.dtype()),
                        fmt::join(array.shape(), ", "));
  }
  if (file.attribute("schema") == trajectory_schema.name) {
    check_shapes(file, trajectory_arrays);
    text +=
        fmt::format("  {} of {} steps are committed\n",
                    file.array("committed").read()[0].item<std::int64_t>(), file.array("batch").shape()[0]);
  }
  return text;
}

// What --dry-run says is read: the file, or the results in the folder.
std::vector<std::string> files_at(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path))
    if (entry.is_regular_file() && entry.path().extension() == ".h5") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

OptionTable info_options() {
  OptionTable table("info");
  table
      .add<std::string>("file", "none",
                        "what to describe: a run folder, or a result of any job, also an unfinished one")
      .add<std::string>(
          "site", "none",
          "a folder for runs: tries out what Whence needs of it, of MPI and of the ranks (start it like a "
          "job), and ends in 'ready' or a sentence")
      .flag("devices", "print the GPUs that this process sees and what computes matrix products on the CPU");
  add_reading_options(table);
  return table;
}

void run_info(const Options& options, const Communicator& world) {
  if (options.flag("devices")) {
    if (!told_dry_run(options, world, {}, {})) tell(options, world, devices_in_words());
    return;
  }
  if (const std::string folder = options.text("site"); folder != "none") {
    if (told_dry_run(options, world, {}, {})) return;
    const std::string words = site_in_words(folder, world);
    return world.on_root([&] { tell(options, world, words); });
  }
  world.on_root([&] {
    const std::string path = options.text("file");
    if (path == "none") refuse("--file: a run folder, a file, --devices or --site, is required");
    const bool folder = std::filesystem::is_directory(path);
    if (!folder && !std::filesystem::is_regular_file(path)) fail("{}: no such file or run folder", path);
    if (told_dry_run(options, world, files_at(path), {})) return;
    tell(options, world, folder ? folder_in_words(path) : file_in_words(path));
  });
}

}  // namespace whence
