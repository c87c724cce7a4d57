// The options of whence influence.

#include "influence_options.h"

#include "whence/core/error.h"

#include "job.h"
#include "metric_classifier.h"

namespace whence {

Grid read_grid(const std::string& text, std::int64_t ranks, std::int64_t queries, std::int64_t batch) {
  if (text == "auto") return automatic_grid(ranks, queries, batch);
  const auto list = integer_list("grid", text);
  if (list.size() != 1 || list.front() > ranks || list.front() > queries)
    refuse("--grid: '{}' is not one number of groups, up to the {} ranks and the {} queries", text, ranks,
           queries);
  return {list.front()};
}

OptionTable influence_options() {
  OptionTable table("influence");
  add_noise_draws_option(add_metric_option(table.required("run", "run folder"), "metrics"))
      .add<std::string>("epochs-back", "1", "k, how many epochs to trace back; several with commas between")
      .add<std::string>(
          "kink-width", "1e-3",
          "h, width of the density that stands for ReLU's second derivative; 0: none, as published; "
          "several with commas between")
      .add<std::string>(
          "crossings", "auto",
          "whether estimates of a kink width over 0 count the units that a removal takes across "
          "their kink: on, off, or auto: of GANs up to 10 passes over the data back (with momentum 5), where "
          "it can be done")
      .add<std::string>(
          "formula", "own",
          "own: of the run's optimiser; sgd: as if its steps had been plain ones, to compare with")
      .add<std::int64_t>(
          "paths", 0,
          "trace also along so many retrained paths, each without one random instance: how far "
          "estimates differ between them (spread) says which to believe; 3 were measured")
      .add<std::string>("grid", "auto",
                        "groups of ranks that share the queries; within a group ranks share the batch",
                        Kind::execution)
      .add<std::int64_t>(
          "memory", 1024,
          "MiB a rank that replayed steps (train --record) may take, what counted crossings keep, and the "
          "states of a retrained path",
          Kind::execution)
      .flag("overwrite", "replace an influence.h5 that was made with other options");
  add_place_options(table);
  add_classifier_option(table);
  add_device_options(table);
  add_execution_options(table);
  return table;
}

}  // namespace whence
