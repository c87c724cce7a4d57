#include "script_layers.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include <torch/csrc/jit/ir/constants.h>

#include "script_graph.h"

namespace whence {
namespace {

using torch::jit::Node;
using torch::jit::Value;

// What a value's rows depend on besides parameters.
enum Source : unsigned { nothing = 0, instances = 1, latents = 2 };

// Goes through the graph once.
class Finder {
 public:
  Finder(ScriptLayers& found, const ScriptDescription& description, const ParameterLayout& layout)
      : found_(found), description_(description), layout_(layout) {}

  std::string look() {
    for (std::size_t p = 0; p < description_.terms.size(); ++p)
      if (description_.terms[p].instances) {
        if (found_.instance_player >= 0) return "the losses of several players hold instances";
        found_.instance_player = static_cast<std::int64_t>(p);
      }
    if (found_.instance_player < 0) return "no loss holds instances";
    if (!description_.mixes.empty()) return description_.mixes + " mix the instances of a mini-batch";
    const auto inputs = found_.graph->inputs();
    for (std::size_t i = 1; i < inputs.size(); ++i)  // x, noise, labels
      source_[inputs[i]] = i == 2 ? latents : instances;
    for (Node* node : found_.graph->nodes())
      if (std::string reason = take(node); !reason.empty()) return reason;
    return check_order();
  }

 private:
  std::string take(Node* node) {
    if (!node->blocks().empty()) return "it has branches or loops";
    if (node->kind() == c10::prim::ListUnpack && node->input(0) == found_.graph->inputs()[0]) {
      for (std::size_t i = 0; i < node->outputs().size(); ++i) parameter_[node->outputs()[i]] = i;
      return "";
    }
    unsigned source = nothing;
    for (Value* input : node->inputs()) source |= source_[input];
    for (Value* output : node->outputs()) source_[output] = source;
    if (source == nothing) return "";
    if (node->kind() == c10::aten::linear && parameter_.count(node->input(1)) > 0)
      return take_layer(node, source);
    for (Value* input : node->inputs())
      if (is_own(input)) return fmt::format("{} uses {}", node->kind().toUnqualString(), name_of(input));
    return take_activation(node);
  }

  std::string take_layer(Node* node, unsigned source) {
    const std::size_t first = parameter_[node->input(1)];
    const ParameterSpec& weight = layout_.specs()[first];
    const auto bias = parameter_.find(node->input(2));
    const bool biased = bias != parameter_.end();
    if (is_own(node->input(0))) return "a product of parameters";
    if (biased && bias->second != first + 1)
      return fmt::format("the bias of {} does not follow it", weight.name);
    if (!biased && node->input(2)->type()->kind() != c10::TypeKind::NoneType)
      return fmt::format("the bias of {} is no parameter", weight.name);
    Stage stage{linear_layer(weight.shape[0], Activation::linear, biased),
                {weight.shape[1], 1, 1},
                {weight.shape[0], 1, 1}};
    stage.weight = weight.offset;
    if (biased) stage.bias = layout_.specs()[first + 1].offset;
    stage.first = first;
    if (weight.player != found_.instance_player && source != latents)
      return fmt::format("{} of another player is used on instances", weight.name);
    found_.latents_of_instances = found_.latents_of_instances || source == (instances | latents);
    layer_[node->output()] = found_.layers.size();
    found_.layers.push_back({stage, weight.player, node, nullptr, source == latents});
    return "";
  }

  // An activation of a layer, or something smooth.
  std::string take_activation(Node* node) {
    const std::string name = node->kind().toUnqualString();
    const auto before = node->inputs().empty() ? layer_.end() : layer_.find(node->input(0));
    const bool alone = before != layer_.end() && node->input(0)->uses().size() == 1;
    const auto leak = leak_of(*node);
    if (!has_kink(*node)) return "";
    if (!alone || !leak) return fmt::format("{} is not relu or leaky_relu of a dense layer", name);
    ScriptLayer& layer = found_.layers[before->second];
    layer.activation = node;
    layer.stage.layer.activation = *leak == 0 ? Activation::relu : Activation::leaky_relu;
    layer.stage.layer.leak = *leak;
    return "";
  }

  // Own layers on instances are all there are, in the order of theta; on latents all or none.
  std::string check_order() const {
    std::vector<std::size_t> there, on_instances, on_latents;
    for (std::size_t i = 0; i < layout_.specs().size(); ++i) {
      const ParameterSpec& spec = layout_.specs()[i];
      if (spec.player != found_.instance_player) continue;
      if (spec.shape.size() == 2)
        there.push_back(i);
      else if (spec.shape.size() != 1 || there.empty() || there.back() + 1 != i)
        return fmt::format("{} is not of a dense layer", spec.name);
    }
    bool biases = true;
    for (const ScriptLayer& layer : found_.layers) {
      if (layer.player != found_.instance_player) continue;
      (layer.of_latents && !found_.latents_of_instances ? on_latents : on_instances)
          .push_back(layer.stage.first);
      const std::size_t next = layer.stage.first + 1;
      biases = biases && (layer.stage.layer.bias || next == layout_.specs().size() ||
                          layout_.specs()[next].shape.size() != 1);
    }
    if (on_instances != there || !biases)
      return "its layers are not used once each on instances, in the order of its parameters";
    if (!on_latents.empty() && on_latents != there)
      return "its layers are not used once each on what latents become";
    const bool kinks = std::any_of(found_.layers.begin(), found_.layers.end(),
                                   [](const ScriptLayer& layer) { return layer.activation != nullptr; });
    return kinks ? "" : "its units have no kinks";
  }

  bool is_own(Value* value) const {
    const auto found = parameter_.find(value);
    return found != parameter_.end() && layout_.specs()[found->second].player == found_.instance_player;
  }
  const std::string& name_of(Value* value) const { return layout_.specs()[parameter_.at(value)].name; }

  ScriptLayers& found_;
  const ScriptDescription& description_;
  const ParameterLayout& layout_;
  std::unordered_map<Value*, std::size_t> parameter_, layer_;  // their numbers
  std::unordered_map<Value*, unsigned> source_;
};

}  // namespace

ScriptLayers find_script_layers(std::shared_ptr<torch::jit::Graph> terms,
                                const ScriptDescription& description, const ParameterLayout& layout) {
  ScriptLayers found{std::move(terms), {}, -1, false, ""};
  found.missing = Finder(found, description, layout).look();
  return found;
}

}  // namespace whence
