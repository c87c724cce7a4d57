#include "whence/game/parameter_file.h"

#include <map>
#include <stdexcept>
#include <vector>

#include <ATen/ops/cat.h>

#include "whence/core/error.h"
#include "whence/core/text.h"

#include "script_file.h"
#include "torch_archive.h"
#include "torch_pickle.h"

namespace whence {
namespace {

using Tensors = std::map<std::string, at::Tensor>;

const std::string importer = "tools/import_checkpoints.py makes a run of other checkpoints";

Tensors tensors_of_model(const std::string& path) {
  const ScriptFile file = read_script_file(path);
  const at::Tensor initial = initial_in(file, path);
  Tensors found;
  std::int64_t offset = 0;
  for (const auto& tensor : file.description.tensors) {
    std::int64_t size = 1;
    for (const std::int64_t one : tensor.shape) size *= one;
    found[tensor.name] = initial.narrow(0, offset, size).view(tensor.shape);
    offset += size;
  }
  return found;
}

Tensors tensors_of_checkpoint(const std::string& path, const std::string& bytes) {
  try {
    return pickled_tensors(bytes);
  } catch (const std::runtime_error& error) {
    refuse("--from: {} cannot be read ({}); {}", path, error.what(), importer);
  }
}

// What the file has under `key`, by the names behind it.
Tensors under(const std::string& key, const std::string& path, const Tensors& all) {
  if (key.empty()) return all;
  Tensors found;
  for (const auto& [name, tensor] : all)
    if (name.rfind(key + ".", 0) == 0) found[name.substr(key.size() + 1)] = tensor;
  if (!found.empty()) return found;
  std::vector<std::string> keys;
  for (const auto& [name, tensor] : all)
    if (const std::string first = name.substr(0, name.find('.')); keys.empty() || keys.back() != first)
      keys.push_back(first);
  refuse("--from: {} has no tensors under '{}'; its names begin with {}", path, visible(key),
         visible(fmt::format("{}", fmt::join(keys, ", ")), 160));
}

const at::Tensor& tensor_named(const std::string& name, bool one_player, const std::string& path,
                               const Tensors& tensors) {
  std::vector<std::string> names{name};
  if (one_player) names.push_back(name.substr(name.find('.') + 1));
  for (const std::string front : {"", "module."})
    for (const std::string& one : names)
      if (const auto found = tensors.find(front + one); found != tensors.end()) return found->second;
  if (tensors.empty()) refuse("--from: {} has no tensors with names; {}", path, importer);
  refuse("--from: {} has no tensor '{}' (but e.g. '{}'); FILE:KEY names the dictionary that has them, and {}",
         path, name, visible(tensors.begin()->first, 80), importer);
}

}  // namespace

at::Tensor parameters_in_file(const std::string& path, const std::string& key, const ParameterLayout& layout,
                              at::ScalarType dtype) {
  std::string bytes;
  bool model = false;
  try {
    bytes = read_torch_archive(path, "no file that torch.save or whence.export made");
    model = is_script_file(bytes);
    if (model && !key.empty())
      fail("{}: is a model made by whence.export, which has no '{}'", path, visible(key));
  } catch (const Error& error) {
    refuse("--from: {}", error.what());
  }
  const Tensors tensors =
      under(key, path, model ? tensors_of_model(path) : tensors_of_checkpoint(path, bytes));
  std::vector<at::Tensor> parts;
  for (const ParameterSpec& spec : layout.specs()) {
    const at::Tensor& tensor = tensor_named(spec.name, layout.player_count() == 1, path, tensors);
    if (!tensor.is_floating_point()) refuse("--from: {} of {} holds integers", spec.name, path);
    if (tensor.sizes() != at::IntArrayRef(spec.shape))
      refuse("--from: {} of {} has the shape [{}], but the game's has [{}]", spec.name, path,
             fmt::join(tensor.sizes(), ", "), fmt::join(spec.shape, ", "));
    parts.push_back(tensor.detach().to(dtype).reshape({-1}));
  }
  return at::cat(parts).contiguous();
}

}  // namespace whence
