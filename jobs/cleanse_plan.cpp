#include "cleanse_plan.h"

#include <fmt/format.h>

#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/train/result_file.h"

namespace whence {

CleansePlan read_cleanse_plan(const Options& options, at::Device device) {
  CleansePlan plan;
  plan.epochs_back = options.integer("epochs-back", 1);
  plan.result.remove = integer_list("remove", options.text("remove"));
  plan.result.metrics = split_list("metric", options.text("metric"));
  plan.run = std::make_unique<Run>(options.text("run"), device, places_of(options));
  const RunParts& parts = plan.run->parts();
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
    const at::Tensor points =
        plan.metric_classifier.classifier
            ? (*plan.metric_classifier.classifier)(plan.run->parts().training_data.instances).features.cpu()
            : train.instances;
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
