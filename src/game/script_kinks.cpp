// Second derivatives of relu and its like in the graphs of exported functions.

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/common_subexpression_elimination.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/remove_mutation.h>
#include <torch/csrc/jit/runtime/custom_operator.h>

#include "whence/net/kink.h"

#include "script_graph.h"

namespace whence {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Stack;
using torch::jit::Value;

const auto curvature = c10::Symbol::fromQualString("whence::kink_curvature");

// What rewritten graphs call.
const torch::jit::RegisterOperators registered({torch::jit::Operator(
    "whence::kink_curvature(Tensor x, float[] places, float[] jumps, float width) -> Tensor",
    [](Stack& stack) {
      const double width = torch::jit::pop(stack).toDouble();
      const auto jumps = torch::jit::pop(stack).toDoubleVector(),
                 places = torch::jit::pop(stack).toDoubleVector();
      const at::Tensor x = torch::jit::pop(stack).toTensor();
      torch::jit::push(stack, kink_curvature(x, places, jumps, width));
    },
    c10::AliasAnalysisKind::FROM_SCHEMA)});

struct Kinks {
  std::vector<double> places, jumps;
};

// The number of a constant; `otherwise` for None, nothing for what is only known when it runs.
std::optional<double> number(Value* value, double otherwise) {
  const auto constant = torch::jit::toIValue(value);
  if (!constant) return std::nullopt;
  if (constant->isNone()) return otherwise;
  if (constant->isScalar()) return constant->toScalar().toDouble();
  return std::nullopt;
}

std::optional<Kinks> between(std::optional<double> least, std::optional<double> most) {
  if (!least || !most) return std::nullopt;
  Kinks kinks;
  if (*least > -std::numeric_limits<double>::infinity()) kinks = {{*least}, {1.0}};
  if (*most < std::numeric_limits<double>::infinity()) {
    kinks.places.push_back(*most);
    kinks.jumps.push_back(-1.0);
  }
  return kinks;
}

// Of a slope that jumps at 0.
std::optional<Kinks> between_slopes(double below, double above) {
  return below == above ? Kinks{} : Kinks{{0.0}, {above - below}};
}

constexpr double infinity = std::numeric_limits<double>::infinity();

// Operators whose jumps are at known places, and those.
const std::map<std::string, std::function<std::optional<Kinks>(Node*)>>& known_kinks() {
  static const std::map<std::string, std::function<std::optional<Kinks>(Node*)>> known{
      {"relu",
       [](Node*) {
         return Kinks{{0.0}, {1.0}};
       }},
      {"relu6",
       [](Node*) {
         return Kinks{{0.0, 6.0}, {1.0, -1.0}};
       }},
      {"abs",
       [](Node*) {
         return Kinks{{0.0}, {2.0}};
       }},
      {"leaky_relu",
       [](Node* node) -> std::optional<Kinks> {
         const auto slope = number(node->input(1), 0.01);
         return slope ? between_slopes(*slope, 1.0) : std::nullopt;
       }},
      {"clamp",
       [](Node* n) { return between(number(n->input(1), -infinity), number(n->input(2), infinity)); }},
      {"hardtanh", [](Node* n) { return between(number(n->input(1), -1.0), number(n->input(2), 1.0)); }},
      {"elu",
       [](Node* node) -> std::optional<Kinks> {
         const auto alpha = number(node->input(1), 1), scale = number(node->input(2), 1),
                    inner = number(node->input(3), 1);
         if (!alpha || !scale || !inner) return std::nullopt;
         return between_slopes(*alpha * *inner * *scale, *scale);
       }},
      {"selu", [](Node*) { return between_slopes(1.7580993408473766, 1.0507009873554805); }},
      {"clamp_min", [](Node* node) { return between(number(node->input(1), -infinity), infinity); }},
      {"clamp_max", [](Node* node) { return between(-infinity, number(node->input(1), infinity)); }}};
  return known;
}

const std::vector<std::string> other_kinks{"amax",
                                           "amin",
                                           "cummax",
                                           "cummin",
                                           "fmax",
                                           "fmin",
                                           "hardshrink",
                                           "hardsigmoid",
                                           "hardswish",
                                           "hinge_embedding_loss",
                                           "kthvalue",
                                           "l1_loss",
                                           "margin_ranking_loss",
                                           "max",
                                           "max_pool1d",
                                           "max_pool2d",
                                           "max_pool3d",
                                           "adaptive_max_pool1d",
                                           "adaptive_max_pool2d",
                                           "maximum",
                                           "median",
                                           "min",
                                           "minimum",
                                           "prelu",
                                           "softshrink",
                                           "sort",
                                           "threshold",
                                           "topk",
                                           "triplet_margin_loss"};

void collect(Block* block, std::vector<Node*>& nodes) {
  for (Node* node : block->nodes()) {
    nodes.push_back(node);
    for (Block* inner : node->blocks()) collect(inner, nodes);
  }
}

void rewrite(Graph& graph, Node* node, const Kinks& kinks, Value* width) {
  torch::jit::WithInsertPoint after(node->next());
  Value* places = graph.insertConstant(kinks.places);
  Value* jumps = graph.insertConstant(kinks.jumps);
  Node* flat = graph.insertNode(graph.create(curvature, {node->input(0), places, jumps, width}));
  Node* sum = graph.insertNode(
      graph.create(c10::aten::add, {node->output(), flat->output(), graph.insertConstant(1)}));
  node->output()->replaceAllUsesAfterNodeWith(sum, sum->output());
}

// Of an operator on tensors, without the underscore of those that write into their input.
std::string name_on_tensors(const Node& node) {
  if (!node.kind().is_aten() || node.inputs().empty()) return "";
  if (!node.input(0)->type()->isSubtypeOf(*c10::TensorType::get())) return "";
  std::string name = node.kind().toUnqualString();
  if (name.back() == '_') name.pop_back();
  return name;
}

// Where the slope of a node jumps; nothing where that is not known.
std::optional<Kinks> kinks_of(Node& node) {
  const std::string name = name_on_tensors(node);
  const auto known = known_kinks().find(name);
  if (known != known_kinks().end()) return known->second(&node);
  const bool other = std::find(other_kinks.begin(), other_kinks.end(), name) != other_kinks.end();
  return other ? std::nullopt : std::optional<Kinks>(Kinks{});
}

}  // namespace

std::optional<double> leak_of(Node& node) {
  const std::string name = name_on_tensors(node);
  if (name == "relu") return 0;
  return name == "leaky_relu" ? number(node.input(1), 0.01) : std::nullopt;
}

bool has_kink(Node& node) {
  const auto kinks = kinks_of(node);
  return !kinks || !kinks->places.empty();
}

void simplify(const std::shared_ptr<Graph>& graph) {
  torch::jit::RemoveTensorMutation(graph);
  torch::jit::EliminateCommonSubexpression(graph);
  torch::jit::EliminateDeadCode(graph);
}

std::vector<std::string> add_kink_curvature(const std::shared_ptr<Graph>& graph) {
  torch::jit::RemoveTensorMutation(graph);  // relu_ has no input left to look at
  Value* width = graph->addInput("width");
  width->setType(c10::FloatType::get());
  std::vector<Node*> nodes;
  collect(graph->block(), nodes);
  std::vector<std::string> left_out;
  for (Node* node : nodes) {
    const std::string name = name_on_tensors(*node);
    const bool in_place = !name.empty() && name != node->kind().toUnqualString();
    const auto kinks = in_place && known_kinks().count(name) > 0 ? std::nullopt : kinks_of(*node);
    if (kinks && !kinks->places.empty())
      rewrite(*graph, node, *kinks, width);
    else if (!kinks && std::find(left_out.begin(), left_out.end(), name) == left_out.end())
      left_out.push_back(name);
  }
  return left_out;
}

}  // namespace whence
