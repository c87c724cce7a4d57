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

/// Whether an archive is the file of a model.
bool is_script_file(const std::string& bytes);

/// theta [P] float64 that the file starts from; Error naming it when that is not as its description says.
at::Tensor initial_in(const ScriptFile& file, const std::string& path);

}  // namespace whence
