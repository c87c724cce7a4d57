#pragma once
// The options of `whence train`: what a run is. run.cfg holds them; every later job reads them back.

#include <memory>
#include <string>

#include "whence/core/options.h"
#include "whence/data/dataset.h"
#include "whence/game/game.h"
#include "whence/game/registry.h"
#include "whence/optimise/optimiser.h"
#include "whence/train/schedule.h"

namespace whence {

/// The option table of `whence train`.
OptionTable train_options();

/// A run's options, checked, with the preset's values filled in.
struct RunSettings {
  ChosenOptions options;
  std::string text;  ///< the content of run.cfg, with absolute places of files
  std::string game;
  std::uint64_t seed;
  DataOptions data;
  ScheduleOptions schedule;
  std::string record;  ///< see recorded_steps; "auto" until decide_record
  OptimiserOptions optimiser;
  std::string engine;     ///< see make_engine
  std::string from = {};  ///< see start_parameters; "" for random ones

  /// The run's game for such data; UsageError naming the option for impossible values.
  std::shared_ptr<const Game> make_game(const DataSplit& split) const;
};

/// UsageError naming the option for every impossible value.
RunSettings read_settings(const Options& options);

/// Puts what --record auto was decided to be into the settings, so that run.cfg says it.
void decide_record(RunSettings& settings, const std::string& record);

/// The value of --record in the text of a run.cfg; "" where there is none.
std::string record_in(const std::string& text);

}  // namespace whence
