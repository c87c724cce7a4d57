// whence info FILE: a file's contents in words. whence info --devices: what could be computed on.

#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/device/devices.h"
#include "whence/io/hdf5.h"

#include "job.h"

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

}  // namespace

OptionTable info_options() {
  OptionTable table("info");
  table.add<std::string>("file", "none", "file to describe: a result of any job, also an unfinished one")
      .flag("devices", "print the GPUs that this process sees and what computes matrix products on the CPU");
  return table;
}

void run_info(const Options& options, const Communicator& world) {
  if (options.flag("devices")) return print(world, devices_in_words());
  world.on_root([&] {
    const std::string path = options.text("file");
    if (path == "none") refuse("--file: a file, or --devices, is required");
    if (!std::filesystem::is_regular_file(path)) fail("{}: no such file", path);
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
    if (file.has("committed"))
      text +=
          fmt::format("  {} of {} steps are committed\n",
                      file.array("committed").read()[0].item<std::int64_t>(), file.array("batch").shape()[0]);
    print(world, text);
  });
}

}  // namespace whence
