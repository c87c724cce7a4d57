#include "cleanse_plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/train/result_file.h"

#include "block_replicas.h"

namespace whence {
namespace {

// [N, features]; always so many at a time, as their number may change how sums round.
at::Tensor features_of(const Instances& instances, const TrainedClassifier& classifier) {
  constexpr std::int64_t some = 512;
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < instances.size(); begin += some)
    parts.push_back(
        classifier(instances.rows(begin, std::min(some, instances.size() - begin))).features.cpu());
  return at::cat(parts);
}

}  // namespace

CleansePlan read_cleanse_plan(const Options& options, const DataPlaces& places, at::Device device) {
  CleansePlan plan;
  plan.epochs_back = options.integer("epochs-back", 1);
  plan.replicas = asked_replicas(options);
  plan.result.remove = integer_list("remove", options.text("remove"));
  plan.run = std::make_unique<Run>(options.text("run"), device, places);
  const RunParts& parts = plan.run->parts();
  plan.result.metrics = metric_names_of(options, *parts.game);
  plan.selections = parse_selections(options.text("select"), parts.game.get());
  for (const Selection& selection : plan.selections) plan.result.selections.push_back(selection.name);
  if (parts.settings.data.test == 0)
    refuse("--run: {} was trained without test instances (whence train --test N)", options.text("run"));
  if (plan.result.remove.back() >= parts.data.train.size())
    refuse("--remove: {} leaves none of the {} instances", plan.result.remove.back(),
           parts.data.train.size());
  plan.run->check_epochs_back("epochs-back", {plan.epochs_back});
  plan.metric_classifier = read_metric_classifier(options, parts);
  plan.metrics = make_metrics(plan.result.metrics, parts.game, test_of(parts, plan.metric_classifier));
  for (const std::string& name : plan.result.metrics)
    plan.result.larger_is_better.push_back(larger_is_better("metric", name, parts.game.get()));
  plan.samples = samples_to_keep(options.text("samples"), parts);
  plan.path = plan.run->folder() + "/cleansing.h5";
  plan.attributes = result_attributes(*plan.run, options.settings(), plan.result.metrics);
  plan.attributes["classifier"] = plan.metric_classifier.fingerprint;
  if (needs_influence(plan.selections)) {
    plan.estimates = read_influence(plan.run->folder() + "/influence.h5", plan.run->trajectory());
    check_estimates(plan.selections, plan.estimates, plan.epochs_back);
    plan.attributes["influence"] = fmt::format("{:08x}", crc32_of(plan.estimates.influence));
  }
  return plan;
}

std::vector<std::vector<std::int64_t>> order_instances(CleansePlan& plan, const Communicator& world) {
  const Dataset& train = plan.run->parts().data.train;
  std::vector<at::Tensor> harm(plan.selections.size(), at::Tensor());
  world.on_root([&] {
    const auto& classifier = plan.metric_classifier.classifier;
    const Instances points =
        classifier ? features_of(plan.run->parts().training_data.instances, *classifier) : train.instances;
    for (std::size_t s = 0; s < harm.size(); ++s)
      harm[s] = harm_of(plan.selections[s], {&plan.estimates, plan.epochs_back, points,
                                             plan.run->parts().settings.seed, plan.run->parts().game.get()});
  });
  std::vector<std::vector<std::int64_t>> orders;
  for (at::Tensor& values : harm) {
    if (!values.defined()) values = at::zeros({train.size()}, at::kDouble);
    world.broadcast(values);
    orders.push_back(most_harmful_first(values));
  }
  describe_instances(plan.result, harm, orders, train);
  return orders;
}

}  // namespace whence
