#pragma once
// Errors that carry their context as one readable sentence.

#include <exception>
#include <fmt/format.h>
#include <stdexcept>
#include <string>

namespace whence {

/// Anything that stops a job: bad files, diverged training, a full disk. The message is one sentence that
/// names the file, option, step or instance concerned.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user's options are unknown, impossible or contradict each other; found before any work is done.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws Error with the formatted message.
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws UsageError with the formatted message.
template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

/// The error's message as one line that a terminal can show; LibTorch's without its backtrace.
std::string one_line(const std::exception& error);

}  // namespace whence
