#include "whence/tracin/tracin.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/net/convolution.h"
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

// 1 for the parameters that count; undefined where all do.
at::Tensor mask_of(const Run& run, const TracinOptions& options) {
  const ParameterLayout& layout = run.parts().game->layout();
  if (options.gradient.tensors.empty()) return {};
  at::Tensor mask = at::zeros({layout.size()}, run.parts().game->dtype());
  for (std::size_t i = 0; i < layout.specs().size(); ++i)
    if (options.gradient.tensors[i])
      mask.narrow(0, layout.specs()[i].offset, layout.specs()[i].size()).fill_(1);
  return mask.to(run.parts().device);
}

void check_finite(const at::Tensor& values, std::int64_t step, const std::string& what,
                  const std::function<std::int64_t(std::int64_t)>& id_of) {
  const at::Tensor rows = values.contiguous();
  for (std::int64_t i = 0; i < rows.size(0); ++i)
    if (!all_finite(rows[i])) fail("tracin: {} {} at step {} is not a finite number", what, id_of(i), step);
}

}  // namespace

at::Tensor cosines(const at::Tensor& products, const at::Tensor& query_norms, const at::Tensor& norms) {
  const at::Tensor both = query_norms.unsqueeze(1) * norms.unsqueeze(0);
  return at::where(both > 0, products / both, at::zeros_like(products));
}

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
      vae_(fast_way(run, queries, options)),
      queries_(queries),
      options_(options),
      plan_(plan),
      between_layers_(std::move(between_layers)),
      layers_(vae_ == nullptr ? std::vector<LayerExtent>() : gradient_extents(*vae_, options.gradient)),
      by_engine_(*run.parts().game, *run.parts().engine, mask_of(run, options)) {}

void TracinWorker::enter_checkpoint(std::int64_t checkpoint) {
  if (checkpoint == checkpoint_) return;
  theta_ = run_.params(plan_.steps[checkpoint]);
  tensors_.clear();
  for (const at::Tensor& view : run_.parts().game->layout().views(theta_.unsqueeze(0)))
    tensors_.push_back(vae_ == nullptr ? view[0] : in_fast_order(view[0]));
  checkpoint_ = checkpoint;
}

at::Tensor TracinWorker::enter_fast(Range queries) {
  const at::Device device = run_.parts().device;
  query_gradients_ = std::make_unique<QueryGradients>(layers_, queries.size());
  const at::Tensor all = at::zeros({queries.size()}, at::kDouble);
  at::Tensor squares = at::zeros({queries.size()}, all.options().device(device));
  for (std::int64_t begin = queries.begin; begin < queries.end; begin += plan_.query_piece) {
    const Range piece{begin, std::min(queries.end, begin + plan_.query_piece)};
    const std::int64_t first = begin - queries.begin;
    const at::Tensor noise = query_noise(run_, plan_.steps[checkpoint_], queries_, piece,
                                         options_.gradient.samples, options_.fixed_noise);
    at::Tensor squares_of_piece = squares.narrow(0, first, piece.size());
    const at::Tensor losses = take_gradients(
        *vae_, tensors_, queries_.points.narrow(0, begin, piece.size()).to(device), noise.to(device),
        options_.gradient,
        [&](std::size_t l, const LayerGradients& part) {
          query_gradients_->put(l, first, part);
          if (needs_norms()) add_squared_norms(part, squares_of_piece);
          between_layers_();
        },
        between_layers_);
    all.narrow(0, first, piece.size()).copy_(losses);
  }
  query_norms_ = squares.sqrt();
  return all;
}

// The gradients of points `range` of `queries`, or (`summed`) their sum, are put into directions_ from row
// `first` on; returns the losses.
at::Tensor TracinWorker::enter_points(const TracinQueries& queries, Range range, std::int64_t first,
                                      bool summed) {
  std::vector<at::Tensor> losses;
  for (std::int64_t begin = range.begin; begin < range.end; begin += plan_.query_piece) {
    const Range piece{begin, std::min(range.end, begin + plan_.query_piece)};
    const at::Device device = run_.parts().device;
    InstanceRows rows{queries.points.narrow(0, begin, piece.size()).to(device),
                      query_noise(run_, plan_.steps[checkpoint_], queries, piece, options_.gradient.samples,
                                  options_.fixed_noise)
                          .to(device)};
    if (queries.labels.defined()) rows.labels = queries.labels.narrow(0, begin, piece.size()).to(device);
    const at::Tensor gradients = by_engine_.gradients(theta_, rows);
    if (summed)
      directions_[first] += gradients.sum(0);
    else
      directions_.narrow(0, first + begin - range.begin, piece.size()).copy_(gradients);
    losses.push_back(by_engine_.losses(theta_, rows).cpu());
    between_layers_();
  }
  const at::Tensor all = at::cat(losses);
  return summed ? all.sum().unsqueeze(0) : all;
}

at::Tensor TracinWorker::enter_by_engine(Range queries) {
  directions_ = at::zeros({queries.size(), theta_.size(0)}, theta_.options());
  at::Tensor losses;
  if (queries_.sum_of) {
    losses = enter_points(*queries_.sum_of, {0, queries_.sum_of->points.size(0)}, 0, true);
  } else if (queries_.metrics.empty()) {
    losses = enter_points(queries_, queries, 0, false);
  } else {
    losses = at::zeros({queries.size()}, at::kDouble);
    for (std::int64_t q = queries.begin; q < queries.end; ++q) {
      const Evaluation v = queries_.metrics[q]->evaluate(theta_, Communicator(MPI_COMM_SELF));
      losses[q - queries.begin].fill_(v.value);
      directions_[q - queries.begin].copy_(by_engine_.masked(v.gradient));
      between_layers_();
    }
  }
  query_norms_ = directions_.to(at::kDouble).norm(2, 1);
  return losses;
}

void TracinWorker::enter_queries(std::int64_t checkpoint, Range queries) {
  if (checkpoint == query_checkpoint_ && queries == query_range_) return;
  query_losses_ = vae_ == nullptr ? enter_by_engine(queries) : enter_fast(queries);
  check_finite(query_losses_.unsqueeze(1), plan_.steps[checkpoint], "the loss of query",
               [&](std::int64_t i) { return queries.begin + i; });
  query_checkpoint_ = checkpoint;
  query_range_ = queries;
}

TracinWorker::Scored TracinWorker::fast_scores(const InstanceRows& rows) {
  const std::int64_t n = rows.points.size(0);
  const at::TensorOptions numbers = rows.points.options().dtype(at::kDouble);
  at::Tensor scores = at::zeros({query_range_.size(), n}, numbers), squares = at::zeros({n}, numbers);
  const at::Tensor losses = take_gradients(
      *vae_, tensors_, rows.points, rows.noise, options_.gradient,
      [&](std::size_t l, const LayerGradients& part) {
        if (queries_.self || needs_norms()) add_squared_norms(part, squares);
        if (!queries_.self) query_gradients_->add_products(l, part, scores, between_layers_);
        between_layers_();
      },
      between_layers_);
  if (queries_.self) return {squares, losses, {}};
  return {scores, losses, squares.sqrt()};
}

// |g_i|^2 [n], a gradient each.
at::Tensor TracinWorker::engine_squared_norms(const InstanceRows& rows) {
  std::vector<at::Tensor> squares;
  for (std::int64_t i = 0; i < rows.points.size(0); i += by_engine_.at_once()) {
    const std::int64_t count = std::min(by_engine_.at_once(), rows.points.size(0) - i);
    InstanceRows part{rows.points.narrow(0, i, count), rows.noise.narrow(0, i, count)};
    if (rows.labels.defined()) part.labels = rows.labels.narrow(0, i, count);
    squares.push_back(by_engine_.gradients(theta_, part).to(at::kDouble).square().sum(1));
    between_layers_();
  }
  return at::cat(squares);
}

TracinWorker::Scored TracinWorker::engine_scores(const InstanceRows& rows) {
  const at::Tensor losses = by_engine_.losses(theta_, rows);
  if (queries_.self) return {engine_squared_norms(rows), losses, {}};
  const at::Tensor norms = needs_norms() ? engine_squared_norms(rows).sqrt() : at::Tensor();
  return {by_engine_.products(theta_, directions_, rows).to(at::kDouble), losses, norms};
}

at::Tensor TracinWorker::row(const TracinBlock& block) {
  enter_checkpoint(block.checkpoint);
  at::Tensor row = at::zeros({plan_.row_width()}, at::kDouble);
  if (!queries_.self) {
    enter_queries(block.checkpoint, block.queries);
    row.narrow(0, plan_.query_losses_at(), block.queries.size()).copy_(query_losses_);
    if (plan_.norms) row.narrow(0, plan_.query_norms_at(), block.queries.size()).copy_(query_norms_);
  }
  const std::int64_t n = block.instances.size();
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
  const at::Tensor chosen = at::tensor(positions, at::kLong);
  InstanceRows rows{data.instances.gather(chosen), noise.to(device)};
  if (data.labels.defined()) rows.labels = at::index_select(data.labels, 0, chosen.to(device));
  const Scored found = vae_ == nullptr ? engine_scores(rows) : fast_scores(rows);
  const at::Tensor scores =
      (options_.normalise ? cosines(found.scores, query_norms_, found.norms) : found.scores).cpu();
  const at::Tensor losses = found.losses.cpu();
  const auto id_of = [&](std::int64_t i) { return data.ids[positions[i]]; };
  check_finite(losses.unsqueeze(1), step, "the loss of instance", id_of);
  check_finite(queries_.self ? scores.unsqueeze(1) : scores.t(), step, "a score of instance", id_of);
  row.narrow(0, 0, scores.numel()).copy_(scores.flatten());
  row.narrow(0, plan_.losses_at(), n).copy_(losses);
  if (plan_.norms) row.narrow(0, plan_.norms_at(), n).copy_(found.norms);
  return row;
}

}  // namespace whence
