#include "whence/train/start.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <vector>

#include <ATen/core/ivalue.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/data/places.h"
#include "whence/io/checksum.h"
#include "whence/train/trajectory/reader.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

struct Place {
  std::string path, part;  // what stands after the last colon, where the whole is no file or folder
};

Place place_of(const std::string& from) {
  std::error_code ignored;
  const std::size_t colon = from.rfind(':');
  if (fs::exists(from, ignored) || colon == std::string::npos) return {from, ""};
  return {from.substr(0, colon), from.substr(colon + 1)};
}

at::Tensor from_run(const Place& place, const Game& game) {
  const Trajectory trajectory(place.path + "/trajectory.h5");
  if (trajectory.attribute("layout") != game.layout().json())
    refuse("--from: {} was trained with other networks", place.path);
  std::int64_t step = trajectory.steps();
  if (!place.part.empty()) {
    const auto given = whole_number(place.part);
    if (!given) refuse("--from: '{}' is not a step of {}", visible(place.part), place.path);
    step = *given;
  }
  const auto& recorded = trajectory.recorded();
  if (std::find(recorded.begin(), recorded.end(), step) == recorded.end())
    refuse("--from: step {} of {} is not recorded", step, place.path);
  return trajectory.params(step).narrow(0, 0, game.layout().size()).to(game.dtype());
}

using Tensors = std::map<std::string, at::Tensor>;

// Every dictionary of tensors inside a value, by its place ("." for the value itself).
void collect(const c10::IValue& value, const std::string& name, int depth,
             std::map<std::string, Tensors>& all) {
  if (!value.isGenericDict() || depth == 0) return;
  Tensors tensors;
  for (const auto& entry : value.toGenericDict()) {
    if (!entry.key().isString()) continue;
    const std::string key = entry.key().toStringRef();
    if (entry.value().isTensor())
      tensors[key] = entry.value().toTensor();
    else
      collect(entry.value(), name.empty() ? key : name + "." + key, depth - 1, all);
  }
  if (!tensors.empty()) all[name.empty() ? "." : name] = std::move(tensors);
}

bool ends_in(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// What stands before the layout's names in all of the dictionary's; nothing where a name is missing.
std::optional<std::string> prefix_in(const Tensors& tensors, const ParameterLayout& layout) {
  const std::string& first = layout.specs().front().name;
  for (const auto& [name, tensor] : tensors) {
    if (!ends_in(name, first)) continue;
    const std::string prefix = name.substr(0, name.size() - first.size());
    if (!prefix.empty() && prefix.back() != '.') continue;
    bool all = true;
    for (const ParameterSpec& spec : layout.specs()) all = all && tensors.count(prefix + spec.name) > 0;
    if (all) return prefix;
  }
  return std::nullopt;
}

at::Tensor joined(const Tensors& tensors, const std::string& prefix, const Game& game,
                  const std::string& path) {
  const ParameterLayout& layout = game.layout();
  at::Tensor theta = at::empty({layout.size()}, at::TensorOptions(game.dtype()));
  for (const ParameterSpec& spec : layout.specs()) {
    const at::Tensor& tensor = tensors.at(prefix + spec.name);
    if (tensor.sizes() != at::IntArrayRef(spec.shape))
      refuse("--from: {}: {} has the shape [{}], not [{}]", path, prefix + spec.name,
             fmt::join(tensor.sizes(), ", "), fmt::join(spec.shape, ", "));
    if (!at::isFloatingType(tensor.scalar_type()))
      refuse("--from: {}: {} holds {}, not floating-point numbers", path, prefix + spec.name,
             c10::toString(tensor.scalar_type()));
    const at::Tensor numbers = tensor.detach().cpu().to(game.dtype()).reshape({-1});
    if (!at::isfinite(numbers).all().item<bool>())
      refuse("--from: {}: {} holds numbers that are not finite", path, prefix + spec.name);
    theta.narrow(0, spec.offset, spec.size()).copy_(numbers);
  }
  return theta;
}

c10::IValue unpickled(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  try {
    return torch::jit::pickle_load(bytes);
  } catch (const std::exception& error) {
    refuse("--from: {}: cannot be read as a dictionary of tensors by torch.save ({})", path, one_line(error));
  }
}

at::Tensor from_file(const Place& place, const Game& game) {
  std::map<std::string, Tensors> all;
  collect(unpickled(place.path), "", 4, all);
  if (!place.part.empty() && all.count(place.part) == 0)
    refuse("--from: {} holds no dictionary of tensors {}", place.path, visible(place.part));
  std::vector<std::string> fitting;
  for (const auto& [name, tensors] : all)
    if ((place.part.empty() || name == place.part) && prefix_in(tensors, game.layout()))
      fitting.push_back(name);
  if (fitting.empty()) {
    std::vector<std::string> names;
    for (const ParameterSpec& spec : game.layout().specs()) names.push_back(spec.name);
    refuse("--from: {} has not all of the tensors {}", place.path, fmt::join(names, ", "));
  }
  if (fitting.size() > 1)
    refuse("--from: {} holds the networks more than once; {}:KEY chooses one of {}", place.path, place.path,
           fmt::join(fitting, ", "));
  const Tensors& tensors = all.at(fitting.front());
  return joined(tensors, *prefix_in(tensors, game.layout()), game, place.path);
}

}  // namespace

std::string absolute_start(const std::string& from) {
  if (from.empty()) return from;
  const Place place = place_of(from);
  return absolute_file(place.path) + (place.part.empty() ? "" : ":" + place.part);
}

at::Tensor start_of(const RunSettings& settings, const Game& game, Attributes& attributes) {
  if (settings.from.empty()) return game.initial_parameters(settings.seed);
  const at::Tensor theta = start_parameters(settings.from, game);
  attributes["from"] = fmt::format("crc32 {:08x}", crc32_of(theta));
  return theta;
}

at::Tensor start_parameters(const std::string& from, const Game& game) {
  const Place place = place_of(from);
  std::error_code ignored;
  if (fs::is_directory(place.path, ignored)) return from_run(place, game);
  if (!fs::is_regular_file(place.path, ignored))
    refuse("--from: {} is neither a run folder nor a file", place.path);
  return from_file(place, game);
}

}  // namespace whence
