#include "setting.h"

#include "whence/train/step.h"

namespace whence::bench {

RunParts parts_with(std::vector<std::string> options) {
  options.insert(options.end(), {"--out", "unused", "--record", "all"});
  return RunParts(read_settings(Options(train_options(), options)));
}

TrainedEpoch::TrainedEpoch() : parts_(parts_with({"--epochs", "1", "--engine", "torch"})) {
  const at::Tensor end = train(parts_.training(), parts_.game->initial_parameters(parts_.settings.seed), 0,
                               steps(), Communicator(MPI_COMM_SELF),
                               [this](std::int64_t, const at::Tensor& theta, const at::Tensor&,
                                      const at::Tensor&) { params_.push_back(theta.clone()); });
  params_.push_back(end);
}

Batch TrainedEpoch::batch(std::int64_t t) const {
  const at::Tensor positions = parts_.schedule.batch(t);
  return make_batch(parts_.data.train, positions, parts_.settings.seed, t, {0, positions.size(0)},
                    *parts_.game);
}

RecordedSteps TrainedEpoch::recorded() const {
  return {*parts_.game,
          *parts_.engine,
          parts_.data.train,
          parts_.settings.seed,
          steps(),
          parts_.schedule.steps_per_epoch(),
          [this](std::int64_t t) { return params(t); },
          [this](std::int64_t t) { return parts_.schedule.batch(t); },
          [this](std::int64_t t) {
            return parts_.schedule.moves(t, parts_.schedule.rates(t), parts_.game->layout());
          },
          *parts_.optimiser};
}

}  // namespace whence::bench
