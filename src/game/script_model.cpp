#include "whence/game/script_model.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/core/text.h"

#include "script_file.h"
#include "script_graph.h"

namespace whence {

struct ScriptModel::Function {
  std::shared_ptr<torch::jit::Graph> graph;
  torch::jit::Code code;
  bool takes_gradients;
};

struct ScriptModel::Functions {
  std::map<std::string, std::shared_ptr<torch::jit::Graph>> checked;  ///< by name
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<const Function>> ready;  ///< by name, kinks and device
};

namespace {

std::int64_t product(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// A function of the file as one graph of operators, checked, without the module among its inputs.
std::shared_ptr<torch::jit::Graph> checked_graph(const ScriptFile& file, const std::string& path,
                                                 const std::string& name, const std::string& suffix,
                                                 std::size_t inputs, std::size_t outputs) {
  const auto method = file.module.find_method(name + suffix);
  if (!method) fail("{}: has no function {} in the dtype of the run ({})", path, name, suffix.substr(1));
  const auto graph = method->graph()->copy();
  torch::jit::Inline(*graph);
  check_operators(fmt::format("{}: {}()", path, name), *graph);
  bool right =
      graph->inputs().size() == inputs + 1 && !graph->inputs()[0]->hasUses() && graph->outputs().size() == 1;
  if (right) {
    graph->eraseInput(0);
    const auto type = graph->outputs()[0]->type();
    const auto tuple = type->cast<c10::TupleType>();
    right = tuple ? tuple->elements().size() == outputs
                  : outputs == 1 && type->isSubtypeOf(*c10::TensorType::get());
  }
  simplify(graph);
  if (!right) fail("{}: its function {} takes or gives other things than its description says", path, name);
  return graph;
}

}  // namespace

ScriptModel::ScriptModel(const std::string& path, at::ScalarType dtype)
    : path_(path), functions_(std::make_unique<Functions>()) {
  ScriptFile file = read_script_file(path);
  const at::Tensor initial = initial_in(file, path);
  description_ = std::move(file.description);
  fingerprint_ = std::move(file.fingerprint);
  const std::string suffix = dtype == at::kDouble ? "_float64" : "_float32";
  std::size_t parts = 0;
  for (const auto& terms : description_.terms) parts += terms.instances + terms.noise + terms.penalty;
  const std::size_t with_labels = description_.labels ? 4 : 3;
  auto& checked = functions_->checked;
  checked["terms"] = checked_graph(file, path, "terms", suffix, with_labels, parts);
  if (description_.sample) checked["sample"] = checked_graph(file, path, "sample", suffix, 2, 1);
  if (!description_.metrics.empty())
    checked["metrics"] =
        checked_graph(file, path, "metrics", suffix, with_labels, description_.metrics.size());
  initial_ = initial.to(dtype);
  kinks_left_out_ = add_kink_curvature(checked.at("terms")->copy());
}

ScriptModel::~ScriptModel() = default;

at::Tensor ScriptModel::drawn(std::uint64_t seed) const {
  using Kind = ScriptDescription::Start::Kind;
  at::Tensor theta = at::empty({initial_.size(0)}, at::kDouble);
  double* values = theta.data_ptr<double>();
  std::uint32_t number = 0;
  for (const auto& tensor : description_.tensors) {
    const RandomStream stream(seed, Purpose::initial_parameters, number++);
    const auto& [kind, first, second, reason] = tensor.start;
    const std::int64_t count = product(tensor.shape);
    if (kind == Kind::unknown)
      refuse("--initial: {} does not say how to draw {} ({}); --initial file starts from its own numbers",
             path_, tensor.name, visible(reason, 160));
    if (kind == Kind::normal) stream.normal(0, values, count);
    for (std::int64_t k = 0; k < count; ++k) {
      if (kind == Kind::uniform) values[k] = first + (second - first) * stream.uniform(k);
      if (kind == Kind::normal) values[k] = first + second * values[k];
      if (kind == Kind::constant) values[k] = first;
    }
    values += count;
  }
  return theta.to(initial_.scalar_type());
}

std::shared_ptr<torch::jit::Graph> ScriptModel::terms_graph() const {
  return functions_->checked.at("terms")->copy();
}

const ScriptModel::Function& ScriptModel::function(const std::string& name, bool kinks,
                                                   at::Device device) const {
  const std::lock_guard lock(functions_->mutex);
  auto& ready = functions_->ready[name + (kinks ? " kinks " : " ") + device.str()];
  if (ready == nullptr) {
    auto graph = functions_->checked.at(name)->copy();
    if (kinks) add_kink_curvature(graph);
    if (!device.is_cpu()) move_constants(*graph, device);
    const bool gradients = takes_gradients(*graph);
    ready = std::make_unique<const Function>(Function{graph, torch::jit::Code(graph, name), gradients});
  }
  return *ready;
}

std::vector<at::Tensor> ScriptModel::call(const std::string& name, const std::vector<at::Tensor>& parameters,
                                          const std::vector<at::Tensor>& others, double kink_width) const {
  const Function& chosen = function(name, kink_width > 0, parameters.front().device());
  // A gradient inside needs a graph, whether or not the caller does.
  const bool own_graph =
      chosen.takes_gradients && (!at::GradMode::is_enabled() || !parameters.front().requires_grad());
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : parameters)
    list.push_back(own_graph ? tensor.detach().requires_grad_() : tensor);
  torch::jit::Stack stack{list};
  for (const at::Tensor& tensor : others) stack.emplace_back(tensor);
  if (kink_width > 0) stack.emplace_back(kink_width);
  try {
    const at::AutoGradMode mode(own_graph || at::GradMode::is_enabled());
    torch::jit::InterpreterState(chosen.code).run(stack);
  } catch (const std::exception& error) {  // the interpreter's and the operators' are of several kinds
    const std::string text = one_line(error);
    const std::size_t told = text.rfind("RuntimeError: ");
    fail("{}: {}() fails: {}", path_, name,
         visible(told == std::string::npos ? text : text.substr(told + 14), 200));
  }
  std::vector<at::Tensor> results = tensors_in(torch::jit::pop(stack));
  if (own_graph)
    for (at::Tensor& one : results) one = one.detach();
  return results;
}

}  // namespace whence
