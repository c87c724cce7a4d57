#include "script_graph.h"

#include <functional>
#include <unordered_set>

#include <torch/csrc/jit/ir/constants.h>

#include "whence/core/error.h"
#include "whence/core/text.h"

namespace whence {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

// tools/whence/models/operators.py has the same list.
const std::unordered_set<std::string>& allowed_operators() {
  static const std::unordered_set<std::string> names{
#define WHENCE_OPERATOR(name) name,
#include "script_operators.inc"
#undef WHENCE_OPERATOR
  };
  return names;
}

void for_each_node(Block* block, const std::function<void(Node*)>& visit) {
  for (Node* node : block->nodes()) {
    visit(node);
    for (Block* inner : node->blocks()) for_each_node(inner, visit);
  }
}

bool is_false(Value* value) {
  const auto constant = torch::jit::toIValue(value);
  return constant && constant->isBool() && !constant->toBool();
}

void check_device(const std::string& where, Node* node) {
  if (node->kind() != c10::prim::Constant || node->outputs().size() != 1) return;
  const auto value = torch::jit::toIValue(node->output());
  const bool elsewhere =
      value && ((value->isDevice() && !value->toDevice().is_cpu()) ||
                (value->isTensor() && value->toTensor().defined() && !value->toTensor().is_cpu()));
  if (elsewhere) fail("{}: has constants on a device; whence.export makes models on the CPU", where);
}

}  // namespace

void check_operators(const std::string& where, Graph& graph) {
  for_each_node(graph.block(), [&](Node* node) {
    const std::string name = node->kind().toQualString();
    if (allowed_operators().count(name) == 0)
      fail(
          "{}: uses the operator {}, which a model must not: only those that compute numbers from numbers "
          "are "
          "allowed",
          where, visible(name, 80));
    if (name.find("dropout") != std::string::npos && (node->inputs().size() < 3 || !is_false(node->input(2))))
      fail("{}: uses {}, which is random; random numbers come from `noise`", where, name);
    const bool normalises = name == "aten::batch_norm" || name == "aten::instance_norm";
    if (normalises && !is_false(node->input(5)) && node->input(3)->type()->kind() != c10::TypeKind::NoneType)
      fail("{}: uses {}, which updates running statistics", where, name);
    check_device(where, node);
  });
}

std::vector<at::Tensor> tensors_in(const c10::IValue& result) {
  if (result.isTensor()) return {result.toTensor()};
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& one : result.toTupleRef().elements()) tensors.push_back(one.toTensor());
  return tensors;
}

void move_constants(Graph& graph, c10::Device device) {
  std::vector<Node*> constants;
  for_each_node(graph.block(), [&](Node* node) {
    if (node->kind() == c10::prim::Constant) constants.push_back(node);
  });
  for (Node* node : constants) {
    const auto value = torch::jit::toIValue(node->output());
    torch::jit::WithInsertPoint here(node);
    Value* moved = nullptr;
    if (value && value->isDevice()) moved = graph.insertConstant(device);
    if (value && value->isTensor() && value->toTensor().dim() > 0)
      moved = graph.insertConstant(value->toTensor().to(device));
    if (moved != nullptr) node->output()->replaceAllUsesWith(moved);
  }
}

bool takes_gradients(Graph& graph) {
  bool found = false;
  for_each_node(graph.block(), [&](Node* node) { found = found || node->kind() == c10::aten::grad; });
  return found;
}

}  // namespace whence
