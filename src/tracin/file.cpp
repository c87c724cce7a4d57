#include "whence/tracin/file.h"

#include <algorithm>
#include <set>

#include <ATen/ops/index_select.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/comm/partition.h"
#include "whence/io/parts.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

constexpr std::int64_t shown_queries = 128, pictured_queries = 32, pictured_each = 10, pictured_self = 60;

// Of --queries self there are no queries beside the instances. Labels and names of queries are left out where
// there are none; scores and lists of --instances none.
ArrayRules tracin_arrays(bool self) {
  constexpr auto any = Numbers::any, finite = Numbers::finite;
  constexpr bool optional = false;
  ArrayRules rules{{"score", {at::kDouble}, {"Q", "N"}, finite, "", 0, optional},
                   {"self_influence", {at::kDouble}, {"N"}, finite, "", 0, optional},
                   {"top", {at::kLong}, {self ? "1" : "Q", "K"}, any, "N", 0, optional},
                   {"bottom", {at::kLong}, {self ? "1" : "Q", "K"}, any, "N", 0, optional},
                   {"step", {at::kLong}, {"C"}, Numbers::ascending},
                   {"weight", {at::kDouble}, {"C"}, finite},
                   {"loss", {at::kDouble}, {"C of losses", "N of losses"}, finite},
                   {"query_loss", {at::kDouble}, {"C", self ? "0" : "Q"}, finite},
                   {"latent_mean", {at::kFloat, at::kDouble}, {"N", "dz"}, finite, "", 0, optional},
                   {"instance_id", {at::kLong}, {"N"}},
                   {"label", {at::kLong}, {"N"}, any, "", 0, optional},
                   {"picture_position", {at::kLong}, {"U"}, any, "N"},
                   {"picture", {at::kFloat}, {"U", "d"}, any}};
  if (self) return rules;
  const ArrayRules of_queries{
      {"predicted_change", {at::kDouble}, {"C", "Q"}, finite, "", 0, optional},
      {"query_latent_mean", {at::kFloat, at::kDouble}, {"Q", "dz"}, finite, "", 0, optional},
      {"query_id", {at::kLong}, {"Q"}},
      {"query_position", {at::kLong}, {"Q"}},
      {"query_label", {at::kLong}, {"Q"}, any, "", 0, optional},
      {"major", {at::kLong}, {"Q"}, any, "N", 0, optional},
      {"minor", {at::kLong}, {"Q"}, any, "N", 0, optional},
      {"query_picture", {at::kFloat}, {"V", "d"}, any, "", 0, optional}};
  rules.insert(rules.end(), of_queries.begin(), of_queries.end());
  return rules;
}

// What all ranks put together. Each holds all names and lists, but reads, adds up and writes its part of what
// is large.
struct Assembly {
  const Run& run;
  const TracinQueries& queries;
  const TracinPlan& plan;
  const BlockStore& store;
  const Communicator& ranks;
  const H5File& file;
  std::int64_t listed;
  bool cosines;            // of products that the store holds beside norms
  at::Tensor top, bottom;  // [Q or 1, K]
  at::Tensor predicted;    // [C, Q]

  std::int64_t instances() const { return run.parts().data.train.size(); }
  Range mine(std::int64_t parts) const { return part_of(parts, ranks.size(), ranks.rank()); }
};

void put(const Assembly& all, const std::string& name, const at::Tensor& values) {
  put_together(all.file, name, values, all.ranks);
}

// Puts together what each rank has filled in of zeros. As integers, since a sum of floating-point numbers
// turns -0 into 0.
void join(const Assembly& all, const at::Tensor& values) {
  at::Tensor bits = values.view(at::kLong);
  all.ranks.sum(bits);
}

// The block's part of the scores of queries `range`, times the weights: added to `scores` [range, N].
void add_block(const Assembly& all, std::size_t b, Range range, at::Tensor& scores, at::Tensor& predicted) {
  const TracinBlock& block = all.plan.blocks[b];
  const std::int64_t n = block.instances.size(), rows = range.size();
  if (n == 0) return;
  const std::int64_t first = all.queries.self ? 0 : (range.begin - block.queries.begin) * n;
  const auto slice = [&](const std::vector<std::int64_t>& values) {
    return at::tensor(at::IntArrayRef(values.data() + block.instances.begin, n), at::kLong);
  };
  const at::Tensor weights =
      slice(*all.plan.visits[block.checkpoint]).to(at::kDouble) * all.plan.weights[block.checkpoint];
  const auto read = [&](std::int64_t begin, std::int64_t count) {
    return all.store.read(static_cast<std::int64_t>(b), begin, count);
  };
  at::Tensor part = read(first, rows * n).view({rows, n});
  if (all.cosines)
    part = cosines(part, read(all.plan.query_norms_at() + range.begin - block.queries.begin, rows),
                   read(all.plan.norms_at(), n));
  part = part * weights;
  scores.index_add_(1, slice(*all.plan.positions[block.checkpoint]), part);
  if (!all.queries.self) predicted[block.checkpoint].narrow(0, range.begin, rows) += part.sum(1);
}

// Query by query, since sorting takes several times what is sorted.
void list_extremes(Assembly& all, Range range, const at::Tensor& scores) {
  for (std::int64_t q = 0; q < range.size(); ++q) {
    const auto order = [&](bool descending) {
      return std::get<1>(at::sort(scores[q], /*stable=*/true, 0, descending)).narrow(0, 0, all.listed);
    };
    all.top[range.begin + q].copy_(order(true));
    all.bottom[range.begin + q].copy_(order(false));
  }
}

// So many queries at once as fit beside what sorting one of them takes, none over the border of two chunks;
// and no more than leave work for every rank.
std::vector<Range> stretches(const Assembly& all, std::int64_t rows, std::int64_t memory) {
  constexpr std::int64_t sorting = 4;  // in the size of a query's scores
  const std::int64_t fit = memory / (8 * std::max<std::int64_t>(1, all.instances())) - sorting,
                     shares = (rows + all.ranks.size() - 1) / all.ranks.size(),
                     at_once = std::max<std::int64_t>(1, std::min(fit, shares));
  const std::int64_t chunk = std::max<std::int64_t>(1, all.plan.query_chunk);
  std::vector<Range> parts;
  for (std::int64_t begin = 0; begin < rows; begin = parts.back().end)
    parts.push_back({begin, std::min({rows, begin + at_once, (begin / chunk + 1) * chunk})});
  return parts;
}

at::Tensor scores_of(Assembly& all, Range range) {
  at::Tensor scores = at::zeros({range.size(), all.instances()}, at::kDouble);
  for (std::size_t b = 0; b < all.plan.blocks.size(); ++b) {
    const Range of_block = all.plan.blocks[b].queries;
    if (all.queries.self || (of_block.begin <= range.begin && range.begin < of_block.end))
      add_block(all, b, range, scores, all.predicted);
  }
  list_extremes(all, range, scores);
  return scores;
}

void write_scores(Assembly& all, std::int64_t memory) {
  const std::int64_t n = all.instances(), rows = all.queries.self ? 1 : all.queries.size();
  ArrayInParts array(all.file, all.queries.self ? "self_influence" : "score", at::kDouble,
                     all.queries.self ? Shape{n} : Shape{rows, n}, all.ranks);
  all.ranks.on_every_rank([&] {
    const auto parts = stretches(all, rows, memory);
    const Range own = all.mine(static_cast<std::int64_t>(parts.size()));
    for (std::int64_t i = own.begin; i < own.end; ++i) {
      const at::Tensor scores = scores_of(all, parts[i]);
      if (all.queries.self)
        array.write(scores[0], {0});
      else
        array.write(scores, {parts[i].begin, 0});
    }
  });
  array.seal();
  for (const at::Tensor& list : {all.top, all.bottom, all.predicted}) join(all, list);
}

void write_losses(const Assembly& all, bool of_instances) {
  const auto checkpoints = static_cast<std::int64_t>(all.plan.steps.size());
  const at::Tensor of_queries = at::zeros({checkpoints, all.queries.size()}, at::kDouble);
  ArrayInParts losses(all.file, "loss", at::kDouble,
                      {of_instances ? checkpoints : 0, of_instances ? all.instances() : 0}, all.ranks);
  all.ranks.on_every_rank([&] {
    const Range own = all.mine(static_cast<std::int64_t>(all.plan.blocks.size()));
    for (std::int64_t b = own.begin; b < own.end; ++b) {
      const TracinBlock& block = all.plan.blocks[b];
      if (of_instances && block.queries.begin == 0) {
        const at::Tensor part = all.store.read(b, all.plan.losses_at(), block.instances.size());
        losses.write(part.unsqueeze(0), {block.checkpoint, block.instances.begin});
      }
      if (block.instances.begin == 0 && block.queries.size() > 0)
        of_queries[block.checkpoint]
            .narrow(0, block.queries.begin, block.queries.size())
            .copy_(all.store.read(b, all.plan.query_losses_at(), block.queries.size()));
    }
  });
  losses.seal();
  join(all, of_queries);
  put(all, "query_loss", of_queries);
}

void write_latent_means(const Assembly& all, const std::vector<at::Tensor>& tensors, const std::string& name,
                        const Instances& points) {
  constexpr std::int64_t tile = 256;
  const Autoencoder& vae = *all.run.parts().game->autoencoder();
  const Game& game = *all.run.parts().game;
  ArrayInParts array(all.file, name, game.dtype(), {points.size(), game.latent_size()}, all.ranks);
  all.ranks.on_every_rank([&] {
    // Whole tiles, which give the same bits on any number of ranks.
    const Range own = all.mine((points.size() + tile - 1) / tile);
    for (std::int64_t t = own.begin; t < own.end; ++t) {
      const std::int64_t begin = t * tile;
      const at::Tensor x = points.rows(begin, std::min(tile, points.size() - begin));
      const at::Tensor means = latent_means(vae, tensors, x.to(tensors.front().device())).cpu().contiguous();
      array.write(means, {begin, 0});
    }
  });
  array.seal();
}

void write_latents(const Assembly& all) {
  if (all.run.parts().game->autoencoder() == nullptr) return;
  std::vector<at::Tensor> tensors;
  all.ranks.on_every_rank([&] {
    const at::Tensor theta = all.run.params(all.plan.steps.back());
    for (const at::Tensor& view : all.run.parts().game->layout().views(theta.unsqueeze(0)))
      tensors.push_back(view[0]);
  });
  write_latent_means(all, tensors, "latent_mean", all.run.parts().data.train.instances);
  if (all.queries.points.defined()) write_latent_means(all, tensors, "query_latent_mean", all.queries.points);
}

void write_names(const Assembly& all) {
  const Dataset& data = all.run.parts().data.train;
  const TracinQueries& queries = all.queries;
  put(all, "step", at::tensor(all.plan.steps, at::kLong));
  put(all, "weight", at::tensor(all.plan.weights, at::kDouble));
  put(all, "instance_id", at::tensor(data.ids, at::kLong));
  if (data.labels.defined()) put(all, "label", data.labels);
  if (queries.self) return;
  put(all, "query_id", at::tensor(queries.ids, at::kLong));
  put(all, "query_position", at::tensor(queries.positions, at::kLong));
  if (queries.labels.defined()) put(all, "query_label", queries.labels);
  if (queries.major.empty()) return;
  put(all, "major", at::tensor(queries.major, at::kLong));
  put(all, "minor", at::tensor(queries.minor, at::kLong));
}

void write_pictures(const Assembly& all) {
  std::set<std::int64_t> positions;
  if (all.top.defined())
    for (std::int64_t q = 0; q < std::min(all.top.size(0), pictured_queries); ++q)
      for (const at::Tensor& list : {all.top, all.bottom})
        for (std::int64_t k = 0; k < std::min(list.size(1), all.queries.self ? pictured_self : pictured_each);
             ++k)
          positions.insert(list[q][k].item<std::int64_t>());
  const at::Tensor chosen =
      at::tensor(std::vector<std::int64_t>(positions.begin(), positions.end()), at::kLong);
  put(all, "picture_position", chosen);
  put(all, "picture", all.run.parts().data.train.instances.gather(chosen).to(at::kFloat));
  if (all.queries.points.defined())
    put(all, "query_picture",
        all.queries.points.narrow(0, 0, std::min(shown_queries, all.queries.size())).to(at::kFloat));
}

void write_all(Assembly& all, const TracinOptions& options) {
  const bool visits = options.weights == CheckpointWeights::visits;
  if (options.instances) {
    const std::int64_t rows = all.queries.self ? 1 : all.queries.size();
    all.top = at::zeros({rows, all.listed}, at::kLong);
    all.bottom = at::zeros({rows, all.listed}, at::kLong);
    write_scores(all, options.memory);
    put(all, "top", all.top);
    put(all, "bottom", all.bottom);
    if (visits && !all.queries.self) put(all, "predicted_change", all.predicted);
  }
  write_losses(all, options.instances && !visits);
  write_latents(all);
  write_names(all);
  write_pictures(all);
}

}  // namespace

void write_tracin(const std::string& path, const Run& run, const TracinQueries& queries,
                  const TracinOptions& options, const TracinPlan& plan, const BlockStore& store,
                  std::int64_t listed, const Attributes& attributes, const Communicator& ranks) {
  const double bytes = 8.0 * static_cast<double>(run.parts().data.train.size()) *
                       (queries.self ? 1.0 : static_cast<double>(queries.size()));
  write_artifact_together(path, tracin_schema, attributes, bytes, ranks, [&](const H5File& file) {
    Assembly all{run,
                 queries,
                 plan,
                 store,
                 ranks,
                 file,
                 std::min(listed, run.parts().data.train.size()),
                 options.normalise && plan.norms,
                 {},
                 {},
                 at::zeros({static_cast<std::int64_t>(plan.steps.size()), queries.size()}, at::kDouble)};
    write_all(all, options);
  });
}

void verify_tracin(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, tracin_schema, trajectory);
  check_result(file, tracin_arrays(file.has("self_influence")), trajectory);
}

}  // namespace whence
