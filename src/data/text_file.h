#pragma once
// A file of text, whole.

#include <string>

namespace whence {

/// The text in a file, plain or gzip, without a byte-order mark in front. Error naming the file when it
/// cannot be opened or unpacked, or is no text (UTF-16, bytes of value 0).
std::string read_text_file(const std::string& path);

}  // namespace whence
