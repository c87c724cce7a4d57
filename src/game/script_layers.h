#pragma once
// The dense layers in the graph of an exported game's terms.

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>

#include "whence/game/script_model.h"
#include "whence/net/layer.h"
#include "whence/net/layout.h"

namespace whence {

/// A dense layer in the graph: aten::linear by a player's own parameters, with the activation that follows it
/// alone, if any.
struct ScriptLayer {
  Stage stage;
  std::int64_t player;
  torch::jit::Node *linear, *activation;  ///< null: none
  bool of_latents;                        ///< its rows depend on latents alone
};

/// Those of all players, in the order in which they are computed.
struct ScriptLayers {
  std::shared_ptr<torch::jit::Graph> graph;  ///< of terms(), straight on
  std::vector<ScriptLayer> layers;
  std::int64_t instance_player;
  bool latents_of_instances;  ///< row j of the latents belongs to instance j
  std::string missing;        ///< "", or why the game is not one of dense layers alone that all are there
};

/// Finds them. The player whose loss holds the instances has to be made of such layers alone, each used once
/// on instances and, if at all, once on what latents become, in the order of its parameters.
ScriptLayers find_script_layers(std::shared_ptr<torch::jit::Graph> terms,
                                const ScriptDescription& description, const ParameterLayout& layout);

}  // namespace whence
