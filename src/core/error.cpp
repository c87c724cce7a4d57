#include "whence/core/error.h"

#include <filesystem>

#include <c10/util/Exception.h>

#include "whence/core/printable.h"

namespace whence {

std::string one_line(const std::exception& error) {
  // The standard library puts the file last, behind its own function's name.
  if (const auto* of_file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return printable(fmt::format("{}: {}", of_file->path1().string(), of_file->code().message()));
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr)
    return "the device's memory is too small for this: fewer --replicas, or fewer metrics and queries at a "
           "time, need "
           "less (more ranks with a GPU each share them out)";
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string text = torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\r') c = ' ';
  return printable(text);
}

}  // namespace whence
