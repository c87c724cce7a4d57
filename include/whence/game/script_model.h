#pragma once
// A model exported from PyTorch by whence.export (tools/README.md, "Your own model"): reading its file,
// proving that it only computes, and calling its functions.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace torch::jit {
struct Graph;
}

namespace whence {

/// What the file of a model says of it.
struct ScriptDescription {
  /// How a seed would draw a parameter: uniform numbers on [first, second), normal ones of that mean and
  /// deviation, all `first`, or in no way that is known.
  struct Start {
    enum class Kind { unknown, uniform, normal, constant };
    Kind kind = Kind::unknown;
    double first = 0, second = 0;
    std::string reason = "the file is of before there was --initial";  ///< of what is unknown
  };
  struct Tensor {
    std::string name;  ///< "PLAYER.MODULE.NAME", as in the player's state_dict
    std::int64_t player;
    std::vector<std::int64_t> shape;
    Start start = {};
  };
  /// Which parts of a player's terms there are, in this order among a function's results.
  struct Terms {
    bool instances, noise, penalty;
  };
  std::string name, torch;  ///< of the class; version of the PyTorch that wrote the file
  std::vector<std::string> players;
  std::vector<Tensor> tensors;
  std::vector<Terms> terms;                   ///< of each player
  std::int64_t noise;                         ///< standard normal numbers a row
  std::vector<std::int64_t> shape;            ///< of one instance
  bool labels, sample;                        ///< whether its functions take labels; whether it makes points
  std::vector<std::string> metrics;           ///< names of its own metrics
  std::vector<std::string> larger_is_better;  ///< those of them
  std::string mixes;           ///< which terms change with other instances (batch statistics); "": none
  std::int64_t graph_numbers;  ///< about how many numbers the graph of the terms holds for one instance
};

/// A model, ready to run in one dtype. Functions may be called from several threads.
class ScriptModel {
 public:
  /// Reads the file. Error in one sentence naming it when it is missing, cut short, not made by
  /// whence.export, made by a PyTorch whose files this LibTorch cannot read, on a device, or uses an operator
  /// that is not in script_operators.inc. Nothing of the file runs before that is known.
  ScriptModel(const std::string& path, at::ScalarType dtype);
  ~ScriptModel();
  ScriptModel(const ScriptModel&) = delete;
  ScriptModel& operator=(const ScriptModel&) = delete;

  const std::string& path() const { return path_; }
  const ScriptDescription& description() const { return description_; }
  /// "crc32=1a2b3c4d bytes=1234 torch=1.13.0": which file it is, wherever it lies.
  const std::string& fingerprint() const { return fingerprint_; }
  /// theta [P] that the file holds, in the dtype of the model.
  const at::Tensor& initial() const { return initial_; }
  /// theta [P] as the modules' reset_parameters would draw it, from the stream of initial parameters whose
  /// step is the tensor's number. UsageError naming --initial where a tensor's start is unknown.
  at::Tensor drawn(std::uint64_t seed) const;
  /// Names of operators whose slope jumps where no curvature is known for (see kink_curvature), e.g.
  /// "max_pool2d"; those of relu, leaky_relu, clamp, hardtanh, relu6 and abs are known.
  const std::vector<std::string>& kinks_left_out() const { return kinks_left_out_; }

  /// A copy of the graph of "terms": parameters, x, noise and, if used, labels in; all parts in a tuple out.
  std::shared_ptr<torch::jit::Graph> terms_graph() const;

  /// The results of a function ("terms", "sample", "metrics") of one replica's parameters and other tensors,
  /// differentiable by the parameters. `kink_width`: see relu(). Error naming file and function when it
  /// fails.
  std::vector<at::Tensor> call(const std::string& function, const std::vector<at::Tensor>& parameters,
                               const std::vector<at::Tensor>& others, double kink_width) const;

 private:
  struct Function;
  const Function& function(const std::string& name, bool kinks, at::Device device) const;

  std::string path_, fingerprint_;
  ScriptDescription description_;
  at::Tensor initial_;
  std::vector<std::string> kinks_left_out_;
  struct Functions;
  std::unique_ptr<Functions> functions_;
};

}  // namespace whence
