#pragma once
// The games that `whence train --game` knows. A new one is a class derived from Game, a function NAME_kind()
// beside it that says what follows, and a line in registered_games.inc.

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
  ChosenOptions(const Options& options, const PresetValues& preset, std::string game_file = "")
      : options_(options), preset_(preset), game_file_(std::move(game_file)) {}

  /// The option's text; the preset's where the user left it.
  std::string text(const std::string& name) const;
  std::int64_t integer(const std::string& name, std::int64_t least) const;
  /// A finite number of at least 0 (greater than 0 if `positive`).
  double real(const std::string& name, bool positive = false) const;
  /// Several numbers as real() has them, in the order given.
  std::vector<double> reals(const std::string& name, bool positive = false) const;
  /// Layer widths, in the order given.
  std::vector<std::int64_t> widths(const std::string& name) const;
  /// true or false.
  bool yes_or_no(const std::string& name) const;
  at::ScalarType dtype() const;
  /// The file that --game names, where the game is one from a file.
  const std::string& game_file() const { return game_file_; }
  /// Where that file lies now.
  void set_game_file(const std::string& path) { game_file_ = path; }
  /// Options::settings() with the preset's values in place of the word 'preset': the content of run.cfg.
  std::string settings() const;

 private:
  Options options_;
  PresetValues preset_;
  std::string game_file_;
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

/// An option of `whence train` that only some games have; its default is what the preset says.
struct GameOption {
  std::string name, help;
};

/// Those that several games have.
inline const GameOption activation_option{
    "activation", "hidden activation: relu, leaky-relu (slope 0.2 below 0), tanh, sigmoid or linear"};
inline const GameOption generator_rate_option{"rate-generator", "learning rate of the generator"},
    discriminator_rate_option{"rate-discriminator", "learning rate of the discriminator"},
    l2_option{"l2", "gamma: gamma/2 * sum(kernel^2) is added to the owner's loss"},
    latent_option{"latent", "numbers a latent"},
    channels_option{"channels", "channels of every hidden convolution"};

/// One game of `--game`: all that the rest of the program knows of it.
struct GameKind {
  std::string name;
  std::string summary;  ///< for --help
  std::vector<GameOption> options;
  /// The options that hold the players' learning rates, in the players' order; none: --rates has them all.
  std::vector<std::string> rates;
  std::map<std::string, PresetValues> presets;
  /// Makes the game for such instances; UsageError naming the option when it is not for them.
  std::shared_ptr<const Game> (*make)(const ChosenOptions& options, const InstanceKind& instances);
  /// What its images are scaled to.
  PixelRange pixels = PixelRange::minus_one_to_one;
  /// Whether every training instance has to have a label.
  bool needs_labels = false;
  /// Whether --game names it with a file, NAME:FILE.
  bool from_file = false;

  bool has(const std::string& option) const;
};

/// All games, those of registered_games.inc.
const std::vector<GameKind>& game_kinds();

/// UsageError naming --game when there is no such game. `name`: what --game says, with or without a file.
const GameKind& game_kind(const std::string& name);

/// FILE of "NAME:FILE"; "" where there is none.
std::string file_of_game(const std::string& game);

/// The run's options with the values that --game, --preset and --optimiser decide. UsageError naming the
/// option when the game has not got the preset, or game or optimiser have no use for an option that is given.
ChosenOptions choose_options(const Options& options);

}  // namespace whence
