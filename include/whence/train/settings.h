#pragma once
// The options of `whence train`: what a run is. run.cfg holds them; every later job reads them back.

#include <memory>
#include <string>
#include <vector>

#include "whence/core/options.h"
#include "whence/data/dataset.h"
#include "whence/game/game.h"
#include "whence/train/schedule.h"

namespace whence {

/// The option table of `whence train`.
OptionTable train_options();

/// A run's options, checked, with the preset's values filled in.
struct RunSettings {
  std::string text;  ///< Options::settings(): the content of run.cfg
  std::uint64_t seed;
  DataOptions data;
  ScheduleOptions schedule;
  std::string record;
  std::string engine;  ///< see make_engine

  /// The run's game for instances of `data_width` numbers.
  std::shared_ptr<const AdversarialGame> make_game(std::int64_t data_width) const;

  // What makes the FCGAN; see FcganOptions.
  std::int64_t latent_size;
  std::vector<std::int64_t> generator_hidden, discriminator_hidden;
  std::string hidden, generator_output;
  bool biases;
  double l2;
};

/// UsageError naming the option for every impossible value.
RunSettings read_settings(const Options& options);

}  // namespace whence
