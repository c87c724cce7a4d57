#include "whence/game/script_game.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/game/registry.h"

#include "script_perceptrons.h"

namespace whence {
namespace {

std::vector<std::int64_t> without_ones(std::vector<std::int64_t> shape) {
  shape.erase(std::remove(shape.begin(), shape.end(), 1), shape.end());
  return shape;
}

// The same numbers in the same order: axes of one number apart, or a row of them.
bool fits(const std::vector<std::int64_t>& model, const std::vector<std::int64_t>& data) {
  const auto numbers = [](const std::vector<std::int64_t>& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  };
  if (without_ones(model) == without_ones(data)) return true;
  return numbers(model) == numbers(data) &&
         (without_ones(model).size() == 1 || without_ones(data).size() == 1);
}

std::vector<at::Tensor> replica(const std::vector<at::Tensor>& tensors, std::int64_t r) {
  std::vector<at::Tensor> own;
  for (const at::Tensor& tensor : tensors)  // squeeze: its derivative copies nothing
    own.push_back(tensor.size(0) == 1 ? tensor.squeeze(0) : tensor.select(0, r));
  return own;
}

}  // namespace

// Looked for when they are first asked for.
struct ScriptGame::Layers {
  std::once_flag looked;
  std::unique_ptr<const ScriptPerceptrons> found;
  std::string missing;
};

ScriptGame::ScriptGame(std::shared_ptr<const ScriptModel> model, at::ScalarType dtype,
                       const std::vector<std::int64_t>& shape, std::int64_t classes, bool drawn)
    : model_(std::move(model)),
      dtype_(dtype),
      layout_(model_->description().players),
      drawn_(drawn),
      layers_(std::make_unique<Layers>()) {
  const ScriptDescription& about = model_->description();
  if (!fits(about.shape, shape))
    refuse("--data: {} is for instances of the shape [{}], but these have [{}]", model_->path(),
           fmt::join(about.shape, ", "), fmt::join(shape, ", "));
  if (about.labels && classes == 0)
    refuse("--data: {} uses labels, and these data have none", model_->path());
  for (const auto& tensor : about.tensors) {
    const bool matrix = tensor.shape.size() == 2;
    layout_.add(tensor.player, tensor.name, tensor.shape, matrix ? tensor.shape[1] : 1,
                matrix ? tensor.shape[0] : 1, tensor.shape.size() > 1);
  }
}
ScriptGame::~ScriptGame() = default;

const Perceptrons* ScriptGame::perceptrons() const {
  std::call_once(layers_->looked, [&] {
    // The model in float64 is only kept, and for most models not even read, where it is of use.
    layers_->missing = find_script_layers(model_->terms_graph(), model_->description(), layout_).missing;
    if (!layers_->missing.empty()) return;
    const auto wide =
        dtype_ == at::kDouble ? model_ : std::make_shared<const ScriptModel>(model_->path(), at::kDouble);
    auto found = std::make_unique<const ScriptPerceptrons>(wide, layout_);
    layers_->missing = found->missing();
    if (layers_->missing.empty()) layers_->found = std::move(found);
  });
  return layers_->found.get();
}

std::string ScriptGame::perceptrons_left_out() const {
  return perceptrons() == nullptr ? "of the model's layers: " + layers_->missing : "";
}

std::int64_t ScriptGame::graph_numbers(std::int64_t) const {
  // Batch statistics are those of all points at once, as far as that goes.
  return model_->description().mixes.empty() ? model_->description().graph_numbers : 1;
}

std::vector<at::Tensor> ScriptGame::inputs(const Batch& batch) const {
  const ScriptDescription& about = model_->description();
  std::vector<std::int64_t> shape{batch.instances.size(0)};
  shape.insert(shape.end(), about.shape.begin(), about.shape.end());
  std::vector<at::Tensor> others{batch.instances.reshape(shape), batch.latents};
  if (about.labels) others.push_back(batch.labels);
  return others;
}

std::vector<at::Tensor> ScriptGame::losses_of_one(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                                  const at::Tensor& weights, double kink_width) const {
  const ScriptDescription& about = model_->description();
  const std::int64_t rows = batch.instances.size(0);
  if (rows == 0) {  // more ranks than instances: a loss of 0 that depends on its player
    std::vector<at::Tensor> zeros(about.players.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) zeros[layout_.specs()[i].player] = tensors[i].sum() * 0;
    return zeros;
  }
  if (!about.mixes.empty() && rows != batch.divisor)
    fail(
        "{}: {} change with the other instances of a mini-batch (batch normalisation), so one rank must hold "
        "all of "
        "it: use one rank, or as many groups as ranks",
        model_->path(), about.mixes);
  const auto flat = model_->call("terms", tensors, inputs(batch), kink_width);
  std::vector<at::Tensor> losses;
  std::size_t next = 0;
  for (std::size_t p = 0; p < about.players.size(); ++p) {
    const auto one_each = [&](const char* what) {
      const at::Tensor& value = flat[next++];
      if (value.dim() != 1 || value.size(0) != rows)
        fail("{}: the {} terms of {} are not one number each of {} rows", model_->path(), what,
             about.players[p], rows);
      return value;
    };
    at::Tensor loss;
    const auto add = [&](const at::Tensor& part) { loss = loss.defined() ? loss + part : part; };
    const double scale = 1.0 / static_cast<double>(batch.divisor);
    if (about.terms[p].instances) add((weights * one_each("instances")).sum() * scale);
    if (about.terms[p].noise) add(one_each("noise").sum() * scale);
    if (about.terms[p].penalty) {
      const at::Tensor& penalty = flat[next++];
      add(batch.carries_penalty ? penalty : penalty * 0);
    }
    losses.push_back(loss);
  }
  return losses;
}

std::vector<at::Tensor> ScriptGame::losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                           const at::Tensor& weights, double kink_width) const {
  std::vector<std::vector<at::Tensor>> by_player(layout_.player_count());
  for (std::int64_t r = 0; r < weights.size(0); ++r) {
    const auto own = losses_of_one(replica(tensors, r), batch, weights[r], kink_width);
    for (std::size_t p = 0; p < own.size(); ++p) by_player[p].push_back(own[p]);
  }
  std::vector<at::Tensor> losses;
  for (const auto& replicas : by_player) losses.push_back(at::stack(replicas));
  return losses;
}

at::Tensor ScriptGame::samples(const at::Tensor& params, const at::Tensor& latents) const {
  const at::NoGradGuard no_graph;
  const auto own = replica(layout_.views(params.unsqueeze(0)), 0);
  return model_->call("sample", own, {latents}, 0)[0].flatten(1);
}

at::Tensor ScriptGame::samples_pull_back(const at::Tensor& params, const at::Tensor& latents,
                                         const at::Tensor& by_sample) const {
  const at::AutoGradMode graph(true);
  const at::Tensor theta = params.detach().clone().requires_grad_();
  const auto own = replica(layout_.views(theta.unsqueeze(0)), 0);
  const at::Tensor points = model_->call("sample", own, {latents}, 0)[0].flatten(1);
  return torch::autograd::grad({points}, {theta}, {by_sample})[0];
}

bool ScriptGame::metric_larger_is_better(const std::string& name) const {
  const auto& larger = model_->description().larger_is_better;
  return std::find(larger.begin(), larger.end(), name) != larger.end();
}

at::Tensor ScriptGame::metric(const std::string& name, const at::Tensor& params, const Batch& points) const {
  const auto& names = model_->description().metrics;
  const auto place = std::find(names.begin(), names.end(), name) - names.begin();
  const auto own = replica(layout_.views(params.unsqueeze(0)), 0);
  return model_->call("metrics", own, inputs(points), 0).at(place);
}

GameKind script_kind() {
  return {"script",
          "a model exported from PyTorch by whence.export, script:FILE",
          {{"rates", "learning rates of the players in the model's order, or one for all"},
           {"pixels", "what bytes of images are scaled to: zero-to-one or minus-one-to-one"},
           {"initial",
            "what training starts from: the numbers in the file, or such as its modules would draw, by "
            "--seed: file or seed"}},
          {},
          {{"published",
            {{"dtype", "float32"},
             {"batch", "64"},
             {"held-out", "1000"},
             {"pixels", "zero-to-one"},
             {"initial", "file"}}}},
          [](const ChosenOptions& options, const InstanceKind& instances) -> std::shared_ptr<const Game> {
            const auto model = std::make_shared<ScriptModel>(options.game_file(), options.dtype());
            if (model->description().labels && options.text("plant") != "none")
              refuse("--plant: {} needs labels, and planted instances have none", model->path());
            const std::string initial = options.text("initial");
            if (initial != "file" && initial != "seed") refuse_value("initial", initial, {"file", "seed"});
            return std::make_shared<ScriptGame>(model, options.dtype(), instances.shape, instances.classes,
                                                initial == "seed");
          },
          PixelRange::zero_to_one,
          false,
          true};
}

}  // namespace whence
