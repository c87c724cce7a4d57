#include "script_file.h"

#include <caffe2/serialize/inline_container.h>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <zlib.h>

#include <ATen/ops/isfinite.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/version.h>

#include "whence/core/error.h"
#include "whence/core/text.h"

#include "torch_archive.h"
#include "torch_pickle.h"

namespace whence {
namespace {

const std::string format = "whence-model", description_record = "extra/whence.json";
constexpr int version = 1;
constexpr double most_numbers = 1e12;  // of one tensor

std::string record(caffe2::serialize::PyTorchStreamReader& reader, const std::string& name) {
  const auto [data, size] = reader.getRecord(name);
  return {static_cast<const char*>(data.get()), size};
}

// The version in a description that cannot be reached in its archive; records lie there as they are.
std::string torch_named_in(const std::string& bytes) {
  const std::string front = "\"torch\": \"";
  const std::size_t found = bytes.find(front);
  if (found == std::string::npos) return "another version";
  const std::size_t begin = found + front.size();
  return visible(bytes.substr(begin, std::min<std::size_t>(bytes.find('"', begin) - begin, 20)));
}

[[noreturn]] void fail_for_version(const std::string& path, const std::string& made_by,
                                   const std::string& why) {
  fail(
      "{}: was made by PyTorch {}, and LibTorch {} here cannot read it ({}); export it with PyTorch {} or "
      "use "
      "a newer LibTorch",
      path, made_by, TORCH_VERSION, why, TORCH_VERSION);
}

// What a library says, in one line without its backtrace, source or advice.
std::string short_reason(const std::exception& error) {
  std::string text = one_line(error);
  if (text.find("INTERNAL ASSERT") != std::string::npos) return "its records do not fit together";
  return visible(text.substr(0, text.find(" Exception raised")), 160);
}

// "1.13" of "1.13.0a0".
std::string first_numbers(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

ScriptDescription::Start start_in(const nlohmann::json& tensor) {
  ScriptDescription::Start start;
  if (!tensor.contains("start")) return start;
  const nlohmann::json& given = tensor.at("start");
  const std::string kind = given.at("kind");
  using Kind = ScriptDescription::Start::Kind;
  const std::map<std::string, Kind> kinds{{"uniform", Kind::uniform},
                                          {"normal", Kind::normal},
                                          {"constant", Kind::constant},
                                          {"unknown", Kind::unknown}};
  const auto found = kinds.find(kind);
  start.kind = found == kinds.end() ? Kind::unknown : found->second;
  if (start.kind == Kind::unknown) {
    start.reason =
        found == kinds.end() ? "its draw is called " + kind : given.at("reason").get<std::string>();
    return start;
  }
  start.first = given.at("first");
  if (start.kind != Kind::constant) start.second = given.at("second");
  return start;
}

ScriptDescription parsed(const std::string& path, const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("format") != format) fail("{}: is not a model made by whence.export", path);
    if (json.at("version") != version)
      fail("{}: is of version {} of the model format, and this program reads {}", path,
           json.at("version").dump(), version);
    ScriptDescription found{};
    found.name = json.at("name");
    found.torch = json.at("torch");
    found.players = json.at("players").get<std::vector<std::string>>();
    for (const auto& one : json.at("tensors"))
      found.tensors.push_back({one.at("name"), one.at("player"), one.at("shape"), start_in(one)});
    for (const auto& one : json.at("terms"))
      found.terms.push_back({one.at("instances"), one.at("noise"), one.at("penalty")});
    found.noise = json.at("noise");
    found.shape = json.at("shape").get<std::vector<std::int64_t>>();
    found.labels = json.at("labels");
    found.sample = json.at("sample");
    found.metrics = json.at("metrics").get<std::vector<std::string>>();
    found.larger_is_better = json.at("larger_is_better").get<std::vector<std::string>>();
    found.mixes = json.at("mixes");
    found.graph_numbers = json.at("graph_numbers");
    return found;
  } catch (const nlohmann::json::exception& error) {
    fail("{}: its description is damaged ({})", path, visible(error.what(), 120));
  }
}

void check_description(const std::string& path, const ScriptDescription& found) {
  const auto players = static_cast<std::int64_t>(found.players.size());
  bool right = players > 0 && found.terms.size() == found.players.size() && !found.tensors.empty() &&
               found.noise >= 0 && !found.shape.empty() && found.graph_numbers > 0;
  std::int64_t last = 0;
  for (const auto& tensor : found.tensors) {
    right = right && tensor.player >= last && tensor.player < players;
    last = tensor.player;
    double numbers = 1;
    for (const std::int64_t size : tensor.shape) {
      right = right && size >= 0;
      numbers *= static_cast<double>(size);
    }
    right = right && numbers < most_numbers;
  }
  for (const std::int64_t size : found.shape) right = right && size > 0 && size < most_numbers;
  if (!right) fail("{}: its description is damaged: players, tensors and terms do not fit together", path);
}

// Records whose reading would run code: a class's own way to be restored, and classes of libraries.
void refuse_code_on_reading(const std::string& path, caffe2::serialize::PyTorchStreamReader& reader) {
  for (const std::string& name : reader.getAllRecords()) {
    const std::string end = name.substr(name.rfind('.') + 1);  // sources for messages are .debug_pkl
    if (end != "py" && end != "pkl") continue;
    const std::string text = record(reader, name);
    for (const char* word : {"__setstate__", "torch.classes"})
      if (text.find(word) != std::string::npos)
        fail("{}: runs code when it is read ({} in {}), which a model must not", path, word, name);
  }
}

}  // namespace

ScriptFile read_script_file(const std::string& path) {
  const std::string bytes = read_torch_archive(path, "no exported model");
  ScriptFile file;
  try {
    std::istringstream stream(bytes);
    caffe2::serialize::PyTorchStreamReader reader(&stream);
    if (!reader.hasRecord(description_record)) fail("{}: is not a model made by whence.export", path);
    file.description = parsed(path, record(reader, description_record));
    check_description(path, file.description);
    refuse_code_on_reading(path, reader);
  } catch (const c10::Error& error) {
    const std::string why = short_reason(error);
    if (why.find("maximum supported version") != std::string::npos)
      fail_for_version(path, torch_named_in(bytes), why);
    fail("{}: is no exported model, or is cut short ({})", path, why);
  }
  try {
    for (const char* name : {"data", "constants"}) check_tensors(bytes, name);
  } catch (const std::runtime_error& error) {
    fail("{}: cannot be read, it is damaged ({})", path, error.what());
  }
  try {
    std::istringstream stream(bytes);
    file.module = torch::jit::load(stream, c10::Device(at::kCPU));
  } catch (const std::exception& error) {  // the importer's errors are of several kinds
    if (first_numbers(file.description.torch) != first_numbers(TORCH_VERSION))
      fail_for_version(path, file.description.torch, short_reason(error));
    fail("{}: cannot be read, it is damaged ({})", path, short_reason(error));
  }
  const auto crc = crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  file.fingerprint = fmt::format("crc32={:08x} bytes={} torch={}", crc, bytes.size(), file.description.torch);
  return file;
}

bool is_script_file(const std::string& bytes) {
  try {
    std::istringstream stream(bytes);
    caffe2::serialize::PyTorchStreamReader reader(&stream);
    return reader.hasRecord(description_record);
  } catch (const c10::Error&) {
    return false;
  }
}

at::Tensor initial_in(const ScriptFile& file, const std::string& path) {
  std::int64_t numbers = 0;
  for (const auto& tensor : file.description.tensors)
    numbers +=
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  const bool has = file.module.hasattr("initial") && file.module.attr("initial").isTensor();
  const at::Tensor initial = has ? file.module.attr("initial").toTensor() : at::Tensor();
  if (!has || initial.dim() != 1 || initial.size(0) != numbers || !initial.is_floating_point())
    fail("{}: its parameters at the start are not those that its description names", path);
  if (!at::isfinite(initial).all().item<bool>()) fail("{}: its parameters at the start are not finite", path);
  return initial.detach().to(at::kDouble).contiguous();
}

}  // namespace whence
