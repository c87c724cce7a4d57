#include "script_perceptrons.h"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <unordered_map>
#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/operator.h>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/net/activation.h"
#include "whence/net/dense_watch.h"

#include "script_graph.h"

namespace whence {
namespace {

using c10::IValue;
using torch::jit::Node;
using torch::jit::Stack;
using torch::jit::Value;

// A value in R replicas: one for all of them, one each, or tensors [R, ...] that were computed together.
class InReplicas {
 public:
  InReplicas() = default;
  explicit InReplicas(IValue shared) : each_{std::move(shared)} {}
  explicit InReplicas(std::vector<IValue> each) : each_(std::move(each)) {}
  explicit InReplicas(at::Tensor together) : together_(std::move(together)) {}

  bool is_shared() const { return !together_.defined() && each_.size() == 1; }
  IValue of(std::int64_t r) const {
    if (!together_.defined()) return each_[each_.size() == 1 ? 0 : r];
    return together_.size(0) == 1 ? together_.squeeze(0) : together_.select(0, r);
  }
  at::Tensor together(std::int64_t replicas) const {
    if (together_.defined()) return together_;
    std::vector<at::Tensor> all;
    for (std::int64_t r = 0; r < replicas; ++r) all.push_back(of(r).toTensor());
    return at::stack(all);
  }

 private:
  std::vector<IValue> each_;
  at::Tensor together_;
};

// One pass through the graph.
class Evaluation {
 public:
  Evaluation(const ScriptLayers& layers, std::int64_t replicas) : layers_(layers), replicas_(replicas) {
    for (const ScriptLayer& layer : layers.layers) {
      layer_of_[layer.linear] = &layer;
      if (layer.activation != nullptr) layer_of_[layer.activation] = &layer;
    }
  }

  void set(Value* value, InReplicas what) { values_[value] = std::move(what); }
  const InReplicas& at(Value* value) const { return values_.at(value); }

  void run(const std::vector<at::Tensor>& tensors, DenseWatch& instances, DenseWatch& latents) {
    for (Node* node : layers_.graph->nodes()) {
      const auto layer = layer_of_.find(node);
      if (layer != layer_of_.end())
        take_layer(node, *layer->second, tensors, layer->second->of_latents ? latents : instances);
      else if (node->kind() == c10::prim::ListUnpack && node->input(0) == layers_.graph->inputs()[0])
        for (std::size_t i = 0; i < tensors.size(); ++i) set(node->output(i), InReplicas(tensors[i]));
      else
        take(node);
    }
  }

 private:
  // A layer is watched where its activation stands, or where it ends if it has none.
  void take_layer(Node* node, const ScriptLayer& layer, const std::vector<at::Tensor>& tensors,
                  DenseWatch& watch) {
    if (node == layer.linear && layer.activation != nullptr) return;
    const at::Tensor h = values_.at(layer.linear->input(0)).together(replicas_);
    if (h.dim() != 3) fail("a dense layer's input has {} dimensions", h.dim() - 1);
    const at::Tensor a = linear_output(layer.stage, tensors.data() + layer.stage.first, h);
    set(node->output(), InReplicas(watch.activated(layer.stage, h, a)));
  }

  void take(Node* node) {
    if (node->kind() == c10::prim::Constant)
      return set(node->output(), InReplicas(torch::jit::toIValue(node->output()).value()));
    const auto inputs = node->inputs();
    const bool shared = std::all_of(inputs.begin(), inputs.end(),
                                    [&](Value* input) { return values_.at(input).is_shared(); });
    std::vector<std::vector<IValue>> outputs(node->outputs().size());
    for (std::int64_t r = 0; r < (shared ? 1 : replicas_); ++r) {
      Stack stack;
      for (Value* input : inputs) stack.push_back(values_.at(input).of(r));
      compute(node, stack);
      for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i].push_back(std::move(stack[i]));
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) set(node->output(i), InReplicas(std::move(outputs[i])));
  }

  // There are no operators for what builds containers and takes them apart.
  static void compute(Node* node, Stack& stack) {
    if (node->kind() == c10::prim::TupleConstruct) {
      stack = {c10::ivalue::Tuple::create(std::vector<IValue>(stack))};
    } else if (node->kind() == c10::prim::TupleUnpack) {
      const IValue tuple = stack.front();
      stack = tuple.toTupleRef().elements().vec();
    } else if (node->kind() == c10::prim::ListConstruct) {
      c10::impl::GenericList list(node->output()->type()->expectRef<c10::ListType>().getElementType());
      for (IValue& element : stack) list.push_back(std::move(element));
      stack = {list};
    } else if (node->kind() == c10::prim::ListUnpack) {
      const IValue list = stack.front();
      stack = list.toListRef().vec();
    } else {
      node->getOperation()(stack);
    }
  }

  const ScriptLayers& layers_;
  std::int64_t replicas_;
  std::unordered_map<Node*, const ScriptLayer*> layer_of_;
  std::unordered_map<Value*, InReplicas> values_;
};

// Keeps what layers give.
struct Outputs : DenseWatch {
  at::Tensor activated(const Stage& stage, const at::Tensor&, const at::Tensor& a) override {
    all.push_back(a);
    return activate(stage.layer.activation, a, 0, stage.layer.leak);
  }
  void passed_on(const at::Tensor&) override {}

  std::vector<at::Tensor> all;  // [R, m, out]
};

bool alike(const at::Tensor& one, const at::Tensor& other) {
  return at::allclose(one, other, 1e-9, 1e-12, /*equal_nan=*/true);
}

}  // namespace

ScriptPerceptrons::ScriptPerceptrons(std::shared_ptr<const ScriptModel> wide, const ParameterLayout& layout)
    : wide_(std::move(wide)),
      layers_(find_script_layers(wide_->terms_graph(), wide_->description(), layout)) {
  if (missing().empty()) layers_.missing = checked(layout);
}

std::vector<std::vector<at::Tensor>> ScriptPerceptrons::terms(const std::vector<at::Tensor>& tensors,
                                                              const Batch& batch, DenseWatch& instances,
                                                              DenseWatch& latents) const {
  const ScriptDescription& about = wide_->description();
  const std::int64_t replicas = tensors.front().size(0);
  Evaluation all(layers_, replicas);
  const auto inputs = layers_.graph->inputs();
  const auto given = [&](const at::Tensor& rows, std::vector<std::int64_t> shape) {
    shape.insert(shape.begin(), {replicas, rows.size(1)});
    return InReplicas(rows.reshape(shape));
  };
  all.set(inputs[1], given(batch.instances, about.shape));
  all.set(inputs[2], given(batch.latents, {about.noise}));
  if (about.labels) all.set(inputs[3], InReplicas(batch.labels));
  all.run(tensors, instances, latents);
  std::vector<std::vector<at::Tensor>> results;
  for (std::int64_t r = 0; r < replicas; ++r)
    results.push_back(tensors_in(all.at(layers_.graph->outputs()[0]).of(r)));
  return results;
}

std::vector<at::Tensor> ScriptPerceptrons::losses_seen(const std::vector<at::Tensor>& tensors,
                                                       const Batch& batch, const at::Tensor& weights,
                                                       DenseWatch& instances, DenseWatch& latents) const {
  const auto& parts = wide_->description().terms;
  std::vector<std::vector<at::Tensor>> by_player(parts.size());
  const auto flat = terms(tensors, batch, instances, latents);
  const double scale = 1.0 / static_cast<double>(batch.divisor);
  for (std::size_t r = 0; r < flat.size(); ++r) {
    std::size_t next = 0;
    const at::Tensor present = weights[static_cast<std::int64_t>(r)];
    for (std::size_t p = 0; p < parts.size(); ++p) {
      at::Tensor loss = at::zeros({}, at::kDouble);
      if (parts[p].instances) loss = loss + (present * flat[r][next++]).sum() * scale;
      if (parts[p].noise) loss = loss + flat[r][next++].sum() * scale;
      if (parts[p].penalty && batch.carries_penalty) loss = loss + flat[r][next];
      next += parts[p].penalty;
      by_player[p].push_back(loss);
    }
  }
  std::vector<at::Tensor> losses;
  for (const auto& replicas : by_player) losses.push_back(at::stack(replicas));
  return losses;
}

std::string ScriptPerceptrons::checked(const ParameterLayout& layout) const {
  const at::NoGradGuard no_graph;
  try {
    return checked_values(layout);
  } catch (const std::exception& error) {
    return fmt::format("its layers cannot be computed alone ({})", visible(one_line(error), 120));
  }
}

// In two replicas: the terms are the model's own, layers have a row for each instance (or latent), and rows
// depend on nothing but their own instance (and latent).
std::string ScriptPerceptrons::checked_values(const ParameterLayout& layout) const {
  const ScriptDescription& about = wide_->description();
  constexpr std::int64_t rows = 5;
  const auto waves = [](const std::vector<std::int64_t>& shape, double step) {
    const at::Tensor all = at::ones(shape, at::kDouble);
    return at::sin(all.flatten().cumsum(0) * step).reshape(shape);
  };
  std::vector<std::int64_t> shape{2, rows};
  shape.insert(shape.end(), about.shape.begin(), about.shape.end());
  Batch batch{waves(shape, 0.7), waves({2, rows, about.noise}, 1.1), rows};
  if (about.labels) batch.labels = at::zeros({2, rows}, at::kLong);
  const at::Tensor& initial = wide_->initial();
  const auto tensors = layout.views(at::stack({initial, initial + waves({initial.size(0)}, 1.3) * 0.1}));
  Outputs instances, latents;
  const auto seen = terms(tensors, batch, instances, latents);
  for (std::int64_t r = 0; r < 2; ++r) {
    std::vector<at::Tensor> own, inputs{batch.instances[r], batch.latents[r]};
    for (const at::Tensor& tensor : tensors) own.push_back(tensor[r]);
    if (about.labels) inputs.push_back(batch.labels[r]);
    const auto right = wide_->call("terms", own, inputs, 0);
    for (std::size_t i = 0; i < right.size(); ++i)
      if (!alike(seen[r][i], right[i])) return "its layers do not give what it gives";
  }
  for (const Outputs* some : {&instances, &latents})
    for (const at::Tensor& a : some->all)
      if (a.size(1) != rows) return "a layer has other rows than instances and latents";
  const at::Tensor few = at::tensor({3, 1, 0}, at::kLong),
                   others = latents_of_instances() ? few : at::tensor({4, 2, 2}, at::kLong);
  const Batch part{batch.instances.index_select(1, few), batch.latents.index_select(1, others), rows, true,
                   about.labels ? batch.labels.index_select(1, few) : at::Tensor()};
  Outputs of_few, of_others;
  const auto again = terms(tensors, part, of_few, of_others);
  const auto same_rows = [](const Outputs& all, const Outputs& some, const at::Tensor& chosen) {
    for (std::size_t l = 0; l < all.all.size(); ++l)
      if (!alike(all.all[l].index_select(1, chosen), some.all[l])) return false;
    return true;
  };
  bool same = same_rows(instances, of_few, few) && same_rows(latents, of_others, others);
  std::size_t next = 0;
  for (const auto& of_player : about.terms) {
    for (const auto& [there, chosen] : {std::pair(of_player.instances, few), {of_player.noise, others}})
      if (there) {
        same = same && alike(seen[1][next].index_select(0, chosen), again[1][next]);
        ++next;
      }
    next += of_player.penalty;
  }
  return same ? "" : "a row of its layers or terms depends on other rows, or an instance's on latents";
}

}  // namespace whence
