#include "layer_record.h"

#include <ATen/ops/gt.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>

#include "whence/net/activation.h"
#include "whence/net/kink.h"
#include "whence/train/step.h"

namespace whence {

at::Tensor LayerRecord::activated(const Stage& stage, const at::Tensor& h, const at::Tensor& a) {
  const auto slopes = kink_slopes(stage.layer.activation);
  at::Tensor slope;
  if (slopes)
    slope = (at::gt(a.detach(), 0).to(a.scalar_type()) * (slopes->above - slopes->below) + slopes->below)
                .requires_grad_();
  if (layout_.specs()[stage.first].player == player_) layers_.push_back({&stage, h, a, slope, stretch_});
  stretch_.reset();
  return slopes ? with_slope(a, slope) : activate(stage.layer.activation, a, 0);
}

std::vector<at::Tensor> LayerRecord::pre_activations(std::size_t count) const {
  std::vector<at::Tensor> all;
  for (std::size_t l = 0; l < count; ++l) all.push_back(layers_[l].a);
  return all;
}

KinkPass::KinkPass(const Game& game, const at::Tensor& theta, std::int64_t replicas, const Batch& batch)
    : instances(game.layout(), game.perceptrons()->instance_player()),
      latents(game.layout(), game.perceptrons()->instance_player()) {
  for (const at::Tensor& view : game.layout().views(theta.to(at::kDouble).expand({replicas, -1})))
    tensors.push_back(view.detach().requires_grad_());
  const at::Tensor present =
      at::ones({replicas, batch.instances.size(0)}, batch.instances.options().requires_grad(false));
  losses = game.perceptrons()->losses_seen(tensors, batch, present, instances, latents);
}

Batch wide_batch(const RecordedSteps& run, std::int64_t t) {
  const at::Tensor positions = run.batch(t);
  Batch batch = make_batch(run.data, positions, run.seed, t, {0, positions.size(0)}, run.game);
  batch.instances = batch.instances.to(at::kDouble);
  batch.latents = batch.latents.to(at::kDouble);
  return batch;
}

Batch rows_of(const Batch& batch, const at::Tensor& instances, const at::Tensor& latents) {
  return {at::index_select(batch.instances, 0, instances), at::index_select(batch.latents, 0, latents),
          batch.divisor, false,
          batch.labels.defined() ? at::index_select(batch.labels, 0, instances) : at::Tensor()};
}

}  // namespace whence
