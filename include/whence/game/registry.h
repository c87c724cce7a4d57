#pragma once
// The games that `whence train --game` knows: their options, their presets, and how one is made.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "whence/core/options.h"
#include "whence/core/pixel_range.h"
#include "whence/game/game.h"

namespace whence {

/// Texts of options by name; those a preset names decide where the user left an option at 'preset'.
using PresetValues = std::map<std::string, std::string>;

/// The options of a run with its preset's values filled in. Values are checked when asked for: UsageError
/// naming the option.
class ChosenOptions {
 public:
  ChosenOptions(const Options& options, const PresetValues& preset) : options_(options), preset_(preset) {}

  /// The option's text; the preset's where the user left it.
  std::string text(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t least) const;
  /// A finite number of at least 0 (greater than 0 if `positive`).
  double real(const std::string& name, bool positive = false) const;
  /// Layer widths, in the order given.
  std::vector<std::int64_t> widths(const std::string& name) const;
  /// true or false.
  bool yes_or_no(const std::string& name) const;
  at::ScalarType dtype() const;
  /// Options::settings() with the preset's values in place of the word 'preset': the content of run.cfg.
  std::string settings() const;

 private:
  Options options_;
  PresetValues preset_;
};

/// The instances that a game is to be made for.
struct InstanceKind {
  std::string source;               ///< as given to --data, for messages
  std::vector<std::int64_t> shape;  ///< of one instance, e.g. {28, 28}
  std::int64_t classes;             ///< labels are 0 .. classes - 1; 0: there are none
  double least, most;               ///< the range of all their numbers

  /// Numbers an instance.
  std::int64_t width() const;
};

/// One game of `--game`.
struct GameKind {
  std::string name;
  /// Those of train_options() that only some games have, and this one does.
  std::vector<std::string> options;
  /// The options that hold the players' learning rates, in the players' order.
  std::vector<std::string> rates;
  std::map<std::string, PresetValues> presets;
  /// Makes the game for such instances; UsageError naming the option when it is not for them.
  std::shared_ptr<const Game> (*make)(const ChosenOptions& options, const InstanceKind& instances);
  /// What its images are scaled to.
  PixelRange pixels = PixelRange::minus_one_to_one;

  bool has(const std::string& option) const;
};

GameKind fcgan_kind();
GameKind mlp_vae_kind();
GameKind conv_vae_kind();
GameKind dcgan_kind();
GameKind classifier_kind();

/// UsageError naming --game when there is no such game.
const GameKind& game_kind(const std::string& name);

/// The run's options with the values that --game and --preset decide. UsageError naming the option when the
/// game has not got the preset, or has no use for an option that is given.
ChosenOptions choose_options(const Options& options);

}  // namespace whence
