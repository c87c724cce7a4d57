#include "whence/tracin/tracin.h"

#include <algorithm>

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/train/finite_watch.h"
#include "whence/train/step.h"

namespace whence {
namespace {

// Draws of one instance or query within a stream; more than any number of samples needs.
constexpr std::uint64_t draws_each = std::uint64_t{1} << 32;
// Mixtures are numbered from here on in the queries' stream, past all ids.
constexpr std::uint64_t first_mixture = std::uint64_t{1} << 31;

at::Tensor keyed_noise(const RandomStream& stream, const std::vector<std::uint64_t>& keys,
                       std::int64_t samples, std::int64_t width, at::ScalarType dtype) {
  const auto n = static_cast<std::int64_t>(keys.size());
  at::Tensor noise = at::empty({n, samples, width}, at::kDouble);
  const std::int64_t each = samples * width;
  for (std::int64_t i = 0; i < n; ++i)
    stream.normal(keys[i] * draws_each, noise.data_ptr<double>() + i * each, static_cast<std::size_t>(each));
  return noise.to(dtype);
}

// eps [n, 1, dz] that the run's steps had for those visits.
at::Tensor visit_noise(const Run& run, const Visit* visits, std::int64_t count) {
  const RunParts& parts = run.parts();
  at::Tensor noise = at::empty({count, 1, parts.game->latent_size()}, parts.game->dtype());
  for (std::int64_t i = 0; i < count; ++i)
    noise[i].copy_(training_latents(parts.settings.seed, visits[i].step, {visits[i].row, visits[i].row + 1},
                                    parts.game->latent_size(), parts.game->dtype()));
  return noise;
}

void check_finite(const at::Tensor& values, std::int64_t step, const std::string& what,
                  const std::function<std::int64_t(std::int64_t)>& id_of) {
  const at::Tensor rows = values.contiguous();
  for (std::int64_t i = 0; i < rows.size(0); ++i)
    if (!all_finite(rows[i])) fail("tracin: {} {} at step {} is not a finite number", what, id_of(i), step);
}

}  // namespace

at::Tensor instance_noise(const Run& run, std::int64_t step, const std::vector<std::int64_t>& positions,
                          std::int64_t samples) {
  const RunParts& parts = run.parts();
  std::vector<std::uint64_t> keys;
  for (const std::int64_t position : positions)
    keys.push_back(static_cast<std::uint64_t>(parts.data.train.ids[position]));
  return keyed_noise(
      RandomStream(parts.settings.seed, Purpose::tracin_instances, static_cast<std::uint32_t>(step)), keys,
      samples, parts.game->latent_size(), parts.game->dtype());
}

at::Tensor query_noise(const Run& run, std::int64_t step, const TracinQueries& queries, Range range,
                       std::int64_t samples, bool fixed) {
  const RunParts& parts = run.parts();
  const std::uint64_t seed = parts.settings.seed;
  const std::int64_t width = parts.game->latent_size();
  if (fixed && queries.held_out) {
    at::Tensor noise = at::empty({range.size(), samples, width}, at::kDouble);
    std::vector<double> draws(range.size() * width);
    for (std::int64_t s = 0; s < samples; ++s) {
      RandomStream(seed, Purpose::validation_latents, static_cast<std::uint32_t>(s))
          .normal(static_cast<std::uint64_t>(range.begin * width), draws.data(), draws.size());
      noise.select(1, s).copy_(at::tensor(draws, at::kDouble).view({range.size(), width}));
    }
    return noise.to(parts.game->dtype());
  }
  std::vector<std::uint64_t> keys;
  for (std::int64_t q = range.begin; q < range.end; ++q)
    keys.push_back(static_cast<std::uint64_t>(queries.ids[q]) + (queries.major.empty() ? 0 : first_mixture));
  return keyed_noise(
      RandomStream(seed, Purpose::tracin_queries, fixed ? 0 : static_cast<std::uint32_t>(step)), keys,
      samples, width, parts.game->dtype());
}

TracinWorker::TracinWorker(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                           const TracinPlan& plan, std::function<void()> between_layers)
    : run_(run),
      vae_(autoencoder_of(run)),
      queries_(queries),
      options_(options),
      plan_(plan),
      between_layers_(std::move(between_layers)),
      layers_(gradient_extents(vae_, options.gradient)) {}

void TracinWorker::enter_checkpoint(std::int64_t checkpoint) {
  if (checkpoint == checkpoint_) return;
  const at::Tensor theta = run_.params(plan_.steps[checkpoint]);
  tensors_.clear();
  for (const at::Tensor& view : run_.parts().game->layout().views(theta.unsqueeze(0)))
    tensors_.push_back(view[0]);
  checkpoint_ = checkpoint;
}

void TracinWorker::enter_queries(std::int64_t checkpoint, Range queries) {
  if (checkpoint == query_checkpoint_ && queries == query_range_) return;
  const std::int64_t step = plan_.steps[checkpoint];
  query_gradients_ = std::make_unique<QueryGradients>(layers_, queries.size());
  query_losses_ = at::zeros({queries.size()}, at::kDouble);
  for (std::int64_t begin = queries.begin; begin < queries.end; begin += plan_.query_piece) {
    const Range piece{begin, std::min(queries.end, begin + plan_.query_piece)};
    const std::int64_t first = begin - queries.begin;
    const at::Device device = run_.parts().device;
    const at::Tensor losses = take_gradients(
        vae_, tensors_, queries_.points.narrow(0, begin, piece.size()).to(device),
        query_noise(run_, step, queries_, piece, options_.gradient.samples, options_.fixed_noise).to(device),
        options_.gradient, [&](std::size_t l, const LayerGradients& gradients) {
          query_gradients_->put(l, first, gradients);
          between_layers_();
        });
    query_losses_.narrow(0, first, piece.size()).copy_(losses);
  }
  check_finite(query_losses_.unsqueeze(1), step, "the loss of query",
               [&](std::int64_t i) { return queries.begin + i; });
  query_checkpoint_ = checkpoint;
  query_range_ = queries;
}

at::Tensor TracinWorker::row(const TracinBlock& block) {
  enter_checkpoint(block.checkpoint);
  at::Tensor row = at::zeros({plan_.row_width()}, at::kDouble);
  if (!queries_.self) {
    enter_queries(block.checkpoint, block.queries);
    row.narrow(0, plan_.scores_width() + plan_.block, block.queries.size()).copy_(query_losses_);
  }
  const std::int64_t n = block.instances.size(), q = block.queries.size();
  if (n == 0) return row;

  const std::int64_t step = plan_.steps[block.checkpoint];
  const auto& all = *plan_.positions[block.checkpoint];
  const std::vector<std::int64_t> positions(all.begin() + block.instances.begin,
                                            all.begin() + block.instances.end);
  const at::Tensor noise =
      options_.training_noise
          ? visit_noise(run_, plan_.visit[block.checkpoint]->data() + block.instances.begin, n)
          : instance_noise(run_, step, positions, options_.gradient.samples);
  const Dataset& data = run_.parts().training_data;
  const at::Device device = run_.parts().device;
  at::Tensor scores = at::zeros({queries_.self ? 1 : q, n}, data.instances.options().dtype(at::kDouble));
  if (queries_.self) scores = scores[0];
  const at::Tensor losses =
      take_gradients(vae_, tensors_,
                     at::index_select(data.instances, 0, at::tensor(positions, at::kLong).to(device)),
                     noise.to(device), options_.gradient,
                     [&](std::size_t l, const LayerGradients& gradients) {
                       if (queries_.self)
                         add_squared_norms(gradients, scores);
                       else
                         query_gradients_->add_products(l, gradients, scores, between_layers_);
                       between_layers_();
                     })
          .cpu();
  scores = scores.cpu();
  const auto id_of = [&](std::int64_t i) { return data.ids[positions[i]]; };
  check_finite(losses.unsqueeze(1), step, "the loss of instance", id_of);
  check_finite(queries_.self ? scores.unsqueeze(1) : scores.t(), step, "a score of instance", id_of);
  row.narrow(0, 0, scores.numel()).copy_(scores.flatten());
  row.narrow(0, plan_.scores_width(), n).copy_(losses);
  return row;
}

}  // namespace whence
