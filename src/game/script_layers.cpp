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

struct Origin {
  unsigned source = nothing;
  bool own = false;   // made of the parameters of the player that holds the instances, and of no rows
  bool bent = false;  // made of parameters alone by way of a kink
};

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
      origin_[inputs[i]].source = i == 2 ? latents : instances;
    for (Node* node : found_.graph->nodes())
      if (std::string reason = take(node); !reason.empty()) return reason;
    if (found_.latents_of_instances)
      for (ScriptLayer& layer : found_.layers)
        if (layer.player == found_.instance_player) layer.of_latents = false;
    return check_order();
  }

 private:
  std::string take(Node* node) {
    if (!node->blocks().empty()) return "it has branches or loops";
    if (node->kind() == c10::prim::ListUnpack && node->input(0) == found_.graph->inputs()[0]) {
      for (std::size_t i = 0; i < node->outputs().size(); ++i) {
        parameter_[node->outputs()[i]] = i;
        origin_[node->outputs()[i]].own = layout_.specs()[i].player == found_.instance_player;
      }
      return "";
    }
    if (node == found_.graph->outputs()[0]->node() && node->kind() == c10::prim::TupleConstruct) return "";
    const std::string name = node->kind().toUnqualString();
    if (node->maybeSchema() != nullptr && node->maybeSchema()->is_mutable())
      return name + " changes a tensor in place";
    Origin origin;
    for (Value* input : node->inputs()) origin.source |= origin_[input].source;
    const bool is_layer =
        origin.source != nothing && node->kind() == c10::aten::linear && parameter_.count(node->input(1)) > 0;
    for (Value* input : node->inputs()) {
      const Origin& from = origin_[input];
      if (origin.source == nothing) {
        origin.own = origin.own || from.own;
        origin.bent = origin.bent || from.bent || has_kink(*node);
      } else if (from.bent) {
        return name + " uses a kink of parameters";
      } else if (from.own && !(is_layer && parameter_.count(input) > 0 && input != node->input(0))) {
        return fmt::format("{} uses parameters of {}", name, layout_.players()[found_.instance_player]);
      }
    }
    for (Value* output : node->outputs()) origin_[output] = origin;
    if (origin.source == nothing) return "";
    return is_layer ? take_layer(node, origin.source) : take_activation(node);
  }

  std::string take_layer(Node* node, unsigned source) {
    const std::size_t first = parameter_[node->input(1)];
    const ParameterSpec& weight = layout_.specs()[first];
    const auto bias = parameter_.find(node->input(2));
    const bool biased = bias != parameter_.end();
    if (weight.shape.size() != 2) return fmt::format("{} is not of a dense layer", weight.name);
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
      (layer.of_latents ? on_latents : on_instances).push_back(layer.stage.first);
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

  ScriptLayers& found_;
  const ScriptDescription& description_;
  const ParameterLayout& layout_;
  std::unordered_map<Value*, std::size_t> parameter_, layer_;  // their numbers
  std::unordered_map<Value*, Origin> origin_;
};

}  // namespace

ScriptLayers find_script_layers(std::shared_ptr<torch::jit::Graph> terms,
                                const ScriptDescription& description, const ParameterLayout& layout) {
  ScriptLayers found{std::move(terms), {}, -1, false, ""};
  found.missing = Finder(found, description, layout).look();
  return found;
}

}  // namespace whence
