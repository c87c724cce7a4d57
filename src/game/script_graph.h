#pragma once
// Graphs of exported functions: what they may hold, and their kinks.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>

namespace whence {

/// Error naming `where` when a graph holds an operator that is not in script_operators.inc, random numbers,
/// running statistics that it would change, or a constant on a device.
void check_operators(const std::string& where, torch::jit::Graph& graph);

/// Adds an input `width` after the others, and kink_curvature() to everything whose slope jumps at known
/// places. Returns the names of operators whose jumps are left out.
std::vector<std::string> add_kink_curvature(const std::shared_ptr<torch::jit::Graph>& graph);

/// The slope below 0 of an operator that is relu or leaky_relu; nothing for others.
std::optional<double> leak_of(torch::jit::Node& node);
/// Whether an operator's slope jumps, at known places or others.
bool has_kink(torch::jit::Node& node);
/// Operators that write into their inputs become those that do not, and what is computed twice in the same
/// way is computed once.
void simplify(const std::shared_ptr<torch::jit::Graph>& graph);

/// The tensors of a function's result: one, or a tuple of them.
std::vector<at::Tensor> tensors_in(const c10::IValue& result);

/// Makes constants those of another device.
void move_constants(torch::jit::Graph& graph, c10::Device device);

/// Whether a function differentiates inside.
bool takes_gradients(torch::jit::Graph& graph);

}  // namespace whence
