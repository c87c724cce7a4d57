#pragma once
// The file of an exported model: TorchScript with a description beside it. Nothing else knows what it is made
// of.

#include <string>

#include <torch/csrc/jit/api/module.h>

#include "whence/game/script_model.h"

namespace whence {

struct ScriptFile {
  ScriptDescription description;
  std::string fingerprint;
  torch::jit::Module module;
};

/// See ScriptModel's constructor; operators are not looked at yet.
ScriptFile read_script_file(const std::string& path);

}  // namespace whence
