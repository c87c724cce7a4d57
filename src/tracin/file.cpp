#include "whence/tracin/file.h"

#include <algorithm>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"

namespace whence {
namespace {

constexpr std::int64_t shown_queries = 128, pictured_queries = 32, pictured_each = 10, pictured_self = 60;

struct Assembly {
  const Run& run;
  const TracinQueries& queries;
  const TracinPlan& plan;
  const BlockStore& store;
  std::int64_t listed;
  at::Tensor top, bottom;  // [Q or 1, K]
  at::Tensor predicted;    // [C, Q]

  std::int64_t instances() const { return run.parts().data.train.size(); }
};

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
  const at::Tensor part =
      all.store.read(static_cast<std::int64_t>(b), first, rows * n).view({rows, n}) * weights;
  scores.index_add_(1, slice(*all.plan.positions[block.checkpoint]), part);
  if (!all.queries.self) predicted[block.checkpoint].narrow(0, range.begin, rows) += part.sum(1);
}

void list_extremes(Assembly& all, Range range, const at::Tensor& scores) {
  const auto order = [&](bool descending) {
    return std::get<1>(at::sort(scores, /*stable=*/true, 1, descending)).narrow(1, 0, all.listed);
  };
  all.top.narrow(0, range.begin, range.size()).copy_(order(true));
  all.bottom.narrow(0, range.begin, range.size()).copy_(order(false));
}

// So many queries' scores at once as fit.
void write_scores(Assembly& all, const H5File& file, std::int64_t memory) {
  const std::int64_t n = all.instances();
  const std::int64_t at_once = std::max<std::int64_t>(1, memory / (8 * 4 * n));
  const std::int64_t rows = all.queries.self ? 1 : all.queries.size();
  const std::string name = all.queries.self ? "self_influence" : "score";
  const H5Array array =
      file.create_array(name, at::kDouble, all.queries.self ? Shape{n} : Shape{rows, n}, Fill::sparse);
  const std::int64_t chunk = std::max<std::int64_t>(1, all.plan.query_chunk);
  for (std::int64_t begin = 0; begin < rows;) {
    const std::int64_t end = std::min({rows, begin + at_once, (begin / chunk + 1) * chunk});
    at::Tensor scores = at::zeros({end - begin, n}, at::kDouble);
    for (std::size_t b = 0; b < all.plan.blocks.size(); ++b) {
      const Range of_block = all.plan.blocks[b].queries;
      if (all.queries.self || (of_block.begin <= begin && begin < of_block.end))
        add_block(all, b, {begin, end}, scores, all.predicted);
    }
    list_extremes(all, {begin, end}, scores);
    if (all.queries.self)
      array.write(scores[0], {0});
    else
      array.write(scores, {begin, 0});
    begin = end;
  }
  array.seal();
}

void write_losses(const Assembly& all, const H5File& file, bool of_instances) {
  const auto checkpoints = static_cast<std::int64_t>(all.plan.steps.size());
  at::Tensor of_queries = at::zeros({checkpoints, all.queries.size()}, at::kDouble);
  const H5Array losses =
      file.create_array("loss", at::kDouble,
                        {of_instances ? checkpoints : 0, of_instances ? all.instances() : 0}, Fill::sparse);
  for (std::size_t b = 0; b < all.plan.blocks.size(); ++b) {
    const TracinBlock& block = all.plan.blocks[b];
    const auto row = static_cast<std::int64_t>(b);
    if (of_instances && block.queries.begin == 0)
      losses.write(all.store.read(row, all.plan.scores_width(), block.instances.size()).unsqueeze(0),
                   {block.checkpoint, block.instances.begin});
    if (block.instances.begin == 0 && block.queries.size() > 0)
      of_queries[block.checkpoint]
          .narrow(0, block.queries.begin, block.queries.size())
          .copy_(all.store.read(row, all.plan.scores_width() + all.plan.block, block.queries.size()));
  }
  losses.seal();
  file.put("query_loss", of_queries);
}

void write_latents(const Assembly& all, const H5File& file) {
  constexpr std::int64_t tile = 256;
  const Autoencoder& vae = autoencoder_of(all.run);
  const Game& game = *all.run.parts().game;
  const at::Tensor theta = all.run.params(all.plan.steps.back());
  std::vector<at::Tensor> tensors;
  for (const at::Tensor& view : game.layout().views(theta.unsqueeze(0))) tensors.push_back(view[0]);
  const auto write = [&](const std::string& name, const at::Tensor& points) {
    const H5Array array =
        file.create_array(name, game.dtype(), {points.size(0), game.latent_size()}, Fill::sparse);
    for (std::int64_t begin = 0; begin < points.size(0); begin += tile) {
      const at::Tensor x = points.narrow(0, begin, std::min(tile, points.size(0) - begin));
      array.write(latent_means(vae, tensors, x.to(theta.device())).cpu(), {begin, 0});
    }
    array.seal();
  };
  write("latent_mean", all.run.parts().data.train.instances);
  if (!all.queries.self) write("query_latent_mean", all.queries.points);
}

void write_names(const Assembly& all, const H5File& file) {
  const Dataset& data = all.run.parts().data.train;
  const TracinQueries& queries = all.queries;
  file.put("step", at::tensor(all.plan.steps, at::kLong));
  file.put("weight", at::tensor(all.plan.weights, at::kDouble));
  file.put("instance_id", at::tensor(data.ids, at::kLong));
  if (data.labels.defined()) file.put("label", data.labels);
  if (queries.self) return;
  file.put("query_id", at::tensor(queries.ids, at::kLong));
  file.put("query_position", at::tensor(queries.positions, at::kLong));
  if (queries.labels.defined()) file.put("query_label", queries.labels.contiguous());
  if (queries.major.empty()) return;
  file.put("major", at::tensor(queries.major, at::kLong));
  file.put("minor", at::tensor(queries.minor, at::kLong));
}

void write_pictures(const Assembly& all, const H5File& file) {
  std::set<std::int64_t> positions;
  if (all.top.defined())
    for (std::int64_t q = 0; q < std::min(all.top.size(0), pictured_queries); ++q)
      for (const at::Tensor& list : {all.top, all.bottom})
        for (std::int64_t k = 0; k < std::min(list.size(1), all.queries.self ? pictured_self : pictured_each);
             ++k)
          positions.insert(list[q][k].item<std::int64_t>());
  const at::Tensor chosen =
      at::tensor(std::vector<std::int64_t>(positions.begin(), positions.end()), at::kLong);
  file.put("picture_position", chosen);
  file.put("picture", at::index_select(all.run.parts().data.train.instances, 0, chosen).to(at::kFloat));
  if (!all.queries.self)
    file.put("query_picture", all.queries.points.narrow(0, 0, std::min(shown_queries, all.queries.size()))
                                  .to(at::kFloat)
                                  .contiguous());
}

}  // namespace

void write_tracin(const std::string& path, const Run& run, const TracinQueries& queries,
                  const TracinOptions& options, const TracinPlan& plan, const BlockStore& store,
                  std::int64_t listed, const Attributes& attributes) {
  const auto checkpoints = static_cast<std::int64_t>(plan.steps.size());
  Assembly all{run, queries, plan, store, std::min(listed, run.parts().data.train.size()), {}, {}, {}};
  all.predicted = at::zeros({checkpoints, queries.size()}, at::kDouble);
  write_artifact(path, tracin_schema, attributes, [&](const H5File& file) {
    const bool visits = options.weights == CheckpointWeights::visits;
    if (options.instances) {
      const std::int64_t rows = queries.self ? 1 : queries.size();
      all.top = at::empty({rows, all.listed}, at::kLong);
      all.bottom = at::empty({rows, all.listed}, at::kLong);
      write_scores(all, file, options.memory);
      file.put("top", all.top);
      file.put("bottom", all.bottom);
      if (visits && !queries.self) file.put("predicted_change", all.predicted);
    }
    write_losses(all, file, options.instances && !visits);
    write_latents(all, file);
    write_names(all, file);
    write_pictures(all, file);
  });
}

void verify_tracin(const std::string& path, const std::string& run_fingerprint) {
  const H5File file = open_artifact(path, tracin_schema);
  if (file.attribute("run") != run_fingerprint)
    fail("{}: was made from another run than the trajectory beside it", path);
  for (const std::string& name : file.arrays()) file.array(name).verify();
}

}  // namespace whence
