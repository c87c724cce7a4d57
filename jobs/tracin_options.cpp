#include "tracin_options.h"

#include <cstdint>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "whence/core/error.h"

#include "job.h"
#include "metric_classifier.h"

namespace whence {
namespace {

// The place of `value` among the names an option has.
std::size_t choice(const Options& options, const std::string& option, const std::vector<std::string>& names) {
  const std::string value = options.text(option);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == value) return i;
  refuse_value(option, value, names);
}

// From 1 to what no machine has: sizes counted in it fit into a number.
std::int64_t bounded(const Options& options, const std::string& option, std::int64_t most) {
  const std::int64_t value = options.integer(option, 1);
  if (value > most) refuse("--{} is {}, but must be at most {}", option, value, most);
  return value;
}

}  // namespace

TracinOptions read_tracin_options(const Options& options) {
  TracinOptions read;
  read.gradient.loss = static_cast<TracinLoss>(choice(options, "loss", {"training", "scoring"}));
  read.gradient.latent =
      static_cast<LatentGradient>(choice(options, "estimator", {"reparameterised", "score-function"}));
  read.gradient.samples = bounded(options, "samples", 1 << 24);
  if (const std::string layers = options.text("layers"); layers.rfind("last:", 0) == 0) {
    const auto list = integer_list("layers", layers.substr(5));
    if (list.size() != 1) refuse("--layers: '{}' is not last:NUMBER", layers);
    read.gradient.last_layers = list.front();
  }
  read.normalise = options.flag("normalise");
  read.norms = options.flag("with-cosines");
  read.weights =
      static_cast<CheckpointWeights>(choice(options, "weights", {"none", "rate", "published", "visits"}));
  read.instances = choice(options, "instances", {"all", "none"}) == 0;
  read.training_noise = choice(options, "instance-noise", {"fresh", "training"}) == 1;
  read.fixed_noise = choice(options, "query-noise", {"fresh", "fixed"}) == 1;
  read.memory = memory_limit(options);
  return read;
}

std::string tracin_settings(const Options& options, bool normalised) {
  return options.settings() + (normalised ? "normalise = true\n" : "");
}

OptionTable tracin_options() {
  OptionTable table("tracin");
  table.required("run", "run folder")
      .add<std::string>(
          "queries", "auto",
          "auto (test:128, or all held-out instances where they are fewer), self, test:NUMBER (the first "
          "held-out instances), train:NUMBER (the first training "
          "instances), ids:FILE (training instances, one id a line), file:SOURCE (instances of another file, "
          "as "
          "for --data of whence train; hdf5: may be left out), mixtures (of two labels) or metric:NAME,NAME "
          "(as "
          "for whence influence); sum:test:NUMBER and the like: the sum over these instances as one query")
      .add<std::string>("checkpoints", "all", "all, last, last:NUMBER or STEP,STEP,... of the recorded steps")
      .add<std::int64_t>("samples", 16, "m, samples of the latent a gradient")
      .add<std::string>(
          "loss", "training",
          "training, or scoring: (squared error of sigmoid output / channels + beta KL) / 12288 "
          "(VAEs)")
      .add<std::string>("estimator", "reparameterised",
                        "encoder's gradient: reparameterised, or score-function (eq. 9; VAEs)")
      .add<std::string>(
          "layers", "all",
          "all; patterns of parameters' names, comma between, as 'decoder.*'; or last:NUMBER, so "
          "many last layers of encoder and decoder each (VAEs)")
      .add<std::string>("weights", "none",
                        "of checkpoints: none, rate, published (rate * batch * steps since the last / N), or "
                        "visits (rate / batch for every visit of an instance up to the next checkpoint)")
      .add<std::string>("instances", "all", "all, or none: the queries' losses alone")
      .add<std::string>("instance-noise", "fresh",
                        "fresh noise at each checkpoint, or training: that of the step that visited the "
                        "instance (with --weights visits, --samples 1)")
      .add<std::string>(
          "query-noise", "fresh",
          "fresh noise at each checkpoint, or fixed: one for all, held-out ones that of metrics")
      .add<std::int64_t>("list", 100, "K, how many largest and smallest scores are listed")
      .add<std::int64_t>("memory", 1024, "MiB a rank; bounds the blocks of instances and queries")
      .add<std::string>("name", "", "writes tracin-NAME.h5 in place of tracin.h5", Kind::execution)
      .flag("normalise", "scores are cosines: products over the norms of both gradients")
      .flag("with-cosines",
            "writes what --normalise would, too: tracin-NAME-cosines.h5, or tracin-cosines.h5")
      .flag("overwrite", "replace a file that was made with other options");
  add_place_options(table);
  add_classifier_option(table);
  add_device_options(table);
  add_execution_options(table);
  return table;
}

}  // namespace whence
