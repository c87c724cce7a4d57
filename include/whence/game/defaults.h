#pragma once
// What --game, --preset and --optimiser make of the options of `whence train` that are left to them.

#include <string>
#include <vector>

namespace whence {

/// The default of an option that is left to the preset, in words: "10 (fcgan); 32 (dcgan)", or the value
/// alone where all games, or all of these optimisers that have the option, have the same.
std::string default_in_words(const std::string& option, const std::vector<std::string>& optimisers);

}  // namespace whence
