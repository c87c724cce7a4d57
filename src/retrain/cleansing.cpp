#include "whence/retrain/cleansing.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/metric/generated.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

constexpr std::int64_t extremes = 36, drawable_width = 3;

const ArrayRules cleansing_arrays{
    {"remove", {at::kLong}, {"H"}, Numbers::positive, "N"},
    {"value", {at::kDouble}, {"S", "H", "M"}, Numbers::finite},
    {"baseline", {at::kDouble}, {"M"}, Numbers::finite},
    {"harm", {at::kDouble}, {"S", "N"}, Numbers::finite},
    {"instance_id", {at::kLong}, {"N"}},
    {"shape", {at::kLong}, {"axes"}, Numbers::positive},
    {"extreme_instance", {at::kFloat}, {"S", "2", "E", "d"}},
    {"extreme_position", {at::kLong}, {"S", "2", "E"}, Numbers::any, "N"},
    {"generated", {at::kFloat}, {"S", "H", "G", "d"}, Numbers::any, "", 0, /*required=*/false},
    {"generated_before", {at::kFloat}, {"G", "d"}, Numbers::any, "", 0, /*required=*/false},
    {"instances", {at::kFloat}, {"N", "d"}, Numbers::any, "", 0, /*required=*/false}};

}  // namespace

std::vector<std::vector<std::int64_t>> removal_sets(const std::vector<std::vector<std::int64_t>>& orders,
                                                    const std::vector<std::int64_t>& remove) {
  std::vector<std::vector<std::int64_t>> sets;
  for (const auto& order : orders)
    for (const std::int64_t count : remove) sets.emplace_back(order.begin(), order.begin() + count);
  return sets;
}

std::int64_t samples_to_keep(const std::string& text, const RunParts& parts) {
  if (parts.game->generator() == nullptr) return 0;
  const std::int64_t most = parts.settings.data.test;
  if (text == "auto")
    return std::min<std::int64_t>(most, parts.data.train.width() <= drawable_width ? 10000 : 64);
  const auto list = integer_list("samples", text);
  if (list.size() != 1 || list.front() > most)
    refuse("--samples: {} is more than the {} test latents", text, most);
  return list.front();
}

std::int64_t cleansed_row_width(std::int64_t replicas, std::int64_t metrics, std::int64_t sample_numbers) {
  return (replicas + 1) * (metrics + sample_numbers);
}

at::Tensor cleansed_row(const Retraining& block, const Game& game,
                        const std::vector<std::shared_ptr<const Metric>>& metrics,
                        const at::Tensor& sample_latents, std::int64_t width) {
  const at::Tensor params = block.params(), values = block.metric_values(metrics);
  const Generator* generator = game.generator();
  std::vector<at::Tensor> parts;
  for (std::int64_t r = 0; r < params.size(0); ++r) {
    parts.push_back(values.select(1, r));
    if (generator != nullptr)
      parts.push_back(
          generated(*generator, params[r], sample_latents).to(at::kCPU, at::kDouble).reshape({-1}));
  }
  const at::Tensor filled = at::cat(parts);
  at::Tensor row = at::zeros({width}, at::kDouble);
  row.narrow(0, 0, filled.numel()).copy_(filled);
  return row;
}

void assemble(Cleansing& cleansing, const std::vector<CounterfactualBlock>& blocks, const at::Tensor& rows,
              std::int64_t samples, std::int64_t width) {
  const auto selections = static_cast<std::int64_t>(cleansing.selections.size()),
             metrics = static_cast<std::int64_t>(cleansing.metrics.size()),
             numbers = static_cast<std::int64_t>(cleansing.remove.size());
  const std::int64_t entry = metrics + samples * width;
  at::Tensor values = at::empty({selections * numbers, metrics}, at::kDouble);
  at::Tensor pictures = at::empty({selections * numbers, samples, width}, at::kFloat);
  const auto samples_at = [&](std::size_t b, std::int64_t r) {
    return rows[b].narrow(0, r * entry + metrics, samples * width).reshape({samples, width}).to(at::kFloat);
  };
  for (std::size_t b = 0; b < blocks.size(); ++b)
    for (std::size_t i = 0; i < blocks[b].removals.size(); ++i) {
      const auto replica = static_cast<std::int64_t>(i) + 1;
      values[blocks[b].removals[i]].copy_(rows[b].narrow(0, replica * entry, metrics));
      pictures[blocks[b].removals[i]].copy_(samples_at(b, replica));
    }
  cleansing.value = values.reshape({selections, numbers, metrics});
  cleansing.baseline = rows[0].narrow(0, 0, metrics).clone();
  if (samples == 0) return;
  cleansing.generated = pictures.reshape({selections, numbers, samples, width});
  cleansing.generated_before = samples_at(0, 0);
}

void describe_instances(Cleansing& cleansing, const std::vector<at::Tensor>& harm,
                        const std::vector<std::vector<std::int64_t>>& orders, const Dataset& data) {
  const std::int64_t shown = std::min(extremes, data.size());
  std::vector<at::Tensor> positions, instances;
  for (const auto& order : orders) {
    const at::Tensor all = at::tensor(order, at::kLong);
    const at::Tensor ends = at::stack({all.narrow(0, 0, shown), all.flip({0}).narrow(0, 0, shown)});
    positions.push_back(ends);
    instances.push_back(
        data.instances.gather(ends.reshape({-1})).reshape({2, shown, data.width()}).to(at::kFloat));
  }
  cleansing.harm = at::stack(harm);
  cleansing.extreme_position = at::stack(positions);
  cleansing.extreme_instance = at::stack(instances);
  cleansing.instance_ids = data.ids;
  cleansing.shape = data.shape;
  if (data.width() <= drawable_width) cleansing.instances = data.instances.all().to(at::kFloat);
}

void write_cleansing(const std::string& path, const Cleansing& cleansing, const Attributes& attributes) {
  Attributes all = attributes;
  std::vector<std::string> better;
  for (const bool larger : cleansing.larger_is_better) better.emplace_back(larger ? "yes" : "no");
  all["selections"] = join_list(cleansing.selections);
  all["larger_is_better"] = join_list(better);
  write_artifact(path, cleansing_schema, all, [&](const H5File& file) {
    file.put("remove", at::tensor(cleansing.remove, at::kLong));
    file.put("value", cleansing.value);
    file.put("baseline", cleansing.baseline);
    file.put("harm", cleansing.harm);
    file.put("instance_id", at::tensor(cleansing.instance_ids, at::kLong));
    file.put("shape", at::tensor(cleansing.shape, at::kLong));
    file.put("extreme_instance", cleansing.extreme_instance);
    file.put("extreme_position", cleansing.extreme_position);
    if (cleansing.generated.defined()) {
      file.put("generated", cleansing.generated);
      file.put("generated_before", cleansing.generated_before);
    }
    if (cleansing.instances.defined()) file.put("instances", cleansing.instances);
  });
}

Cleansing read_cleansing(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, cleansing_schema, trajectory);
  Cleansing cleansing;
  cleansing.selections = names_in(file, "selections");
  cleansing.metrics = names_in(file, "metrics");
  for (const std::string& larger : names_in(file, "larger_is_better"))
    cleansing.larger_is_better.push_back(larger == "yes");
  if (cleansing.larger_is_better.size() != cleansing.metrics.size())
    fail("{}: does not say of each metric whether larger is better; the file is damaged", path);
  check_result(file, cleansing_arrays, trajectory,
               {{"S", cleansing.selections.size()}, {"M", cleansing.metrics.size()}});
  cleansing.remove = file.verified_integers("remove");
  cleansing.instance_ids = file.verified_integers("instance_id");
  cleansing.shape = file.verified_integers("shape");
  cleansing.value = file.verified("value");
  cleansing.baseline = file.verified("baseline");
  cleansing.harm = file.verified("harm");
  return cleansing;
}

}  // namespace whence
