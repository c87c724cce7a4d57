#pragma once
// What a run folder holds, in words.

#include <string>

namespace whence {

/// Whether training is finished, seed, data, settings, and each result with what it is of. A file that cannot
/// be read has its reason in its line. Error when the folder holds nothing that a job made.
std::string folder_in_words(const std::string& folder);

}  // namespace whence
