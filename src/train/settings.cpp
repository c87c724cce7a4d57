#include "whence/train/settings.h"

#include <limits>

#include "whence/core/error.h"
#include "whence/game/activation.h"
#include "whence/game/fcgan.h"
#include "whence/train/recording.h"

namespace whence {
namespace {

// What --preset decides where the user does not. `published`: the authors' experiments; `paper`: its tables 2
// and 3.
struct Preset {
  const char* generator_hidden;
  const char* discriminator_hidden;
  const char* biases;
  const char* generator_output;
  const char* l2;
  const char* held_out;
};
constexpr Preset published{"32,32", "64,64", "false", "linear", "0", "1000"};
constexpr Preset paper{"32", "64", "true", "tanh", "1e-3", "10000"};

const Preset& preset_named(const std::string& name) {
  if (name == "published") return published;
  if (name == "paper") return paper;
  refuse("--preset: '{}' is not published or paper", name);
}

// The option's text, or the preset's where the user left it.
std::string choice(const Options& options, const std::string& name, const char* preset) {
  const std::string text = options.text(name);
  return text == "preset" ? preset : text;
}

bool yes_or_no(const std::string& option, const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  refuse("--{}: '{}' is not true or false", option, text);
}

double one_real(const std::string& option, const std::string& text) {
  const auto list = real_list(option, text);
  if (list.size() != 1) refuse("--{}: '{}' is not one number", option, text);
  return list.front();
}

std::int64_t one_integer(const std::string& option, const std::string& text) {
  const auto list = integer_list(option, text);
  if (list.size() != 1) refuse("--{}: '{}' is not one number", option, text);
  return list.front();
}

// Layer widths: integer_list would sort them and drop repetitions.
std::vector<std::int64_t> widths(const std::string& option, const std::string& text) {
  std::vector<std::int64_t> list;
  for (const std::string& part : split_list(option, text)) list.push_back(one_integer(option, part));
  return list;
}

at::ScalarType dtype_named(const std::string& name) {
  if (name == "float64") return at::kDouble;
  if (name == "float32") return at::kFloat;
  refuse("--dtype: '{}' is not float32 or float64", name);
}

ScheduleOptions read_schedule(const Options& options) {
  ScheduleOptions schedule;
  schedule.instances = options.integer("instances", 1);
  schedule.batch = options.integer("batch", 1);
  schedule.epochs = options.integer("epochs", 1);
  schedule.seed = options.seed("seed");
  for (const char* name : {"rate-generator", "rate-discriminator"}) {
    schedule.rates.push_back(options.real(name, 0, true));
    if (options.text("dtype") == "float32" && schedule.rates.back() > std::numeric_limits<float>::max())
      refuse("--{}: {} is more than float32 can hold", name, schedule.rates.back());
  }
  const std::string update = options.text("update"), decay = options.text("rate-decay");
  if (update == "alternating")
    schedule.update = Update::alternating;
  else if (update != "simultaneous")
    refuse("--update: '{}' is not simultaneous or alternating", update);
  if (decay == "inverse-sqrt")
    schedule.decay = Decay::inverse_sqrt;
  else if (decay != "constant")
    refuse("--rate-decay: '{}' is not constant or inverse-sqrt", decay);
  const Schedule checked(schedule);
  recorded_steps(options.text("record"), checked.steps(), checked.steps_per_epoch());
  return schedule;
}

}  // namespace

OptionTable train_options() {
  OptionTable table("train");
  table.required("out", "run folder to create, or to go on with")
      .add<std::string>("game", "fcgan", "game to train: fcgan")
      .add<std::string>("preset", "published", "FCGAN's values left at 'preset': published or paper")
      .add<std::string>("data", "normal2d", "normal2d, mnist:DIR or idx:IMAGES[,LABELS] (gzip or plain)")
      .add<std::int64_t>("instances", 10000, "N, training instances")
      .add<std::string>("held-out", "preset",
                        "N', held-out instances and validation latents that metrics use")
      .add<std::int64_t>("epochs", 50, "K, passes over the training instances")
      .add<std::int64_t>("batch", 100, "|S|, instances a step; an incomplete last batch is dropped")
      .add<std::int64_t>("seed", 0, "of data, initial weights, shuffles and latents")
      .add<std::string>("dtype", "float64", "float64 or float32")
      .add<std::string>("update", "simultaneous", "simultaneous, or alternating (one player a step)")
      .add<double>("rate-generator", 1e-3, "learning rate of the generator")
      .add<double>("rate-discriminator", 1e-3, "learning rate of the discriminator")
      .add<std::string>("rate-decay", "constant", "constant, or inverse-sqrt: rate / sqrt(t + 1) at step t")
      .add<std::string>("l2", "preset", "gamma: gamma/2 * sum(kernel^2) is added to the owner's loss")
      .add<std::int64_t>("latent", 10, "numbers a latent")
      .add<std::string>("generator-hidden", "preset", "hidden widths of the generator, e.g. 32,32")
      .add<std::string>("discriminator-hidden", "preset", "hidden widths of the discriminator, e.g. 64,64")
      .add<std::string>("activation", "relu", "hidden activation: relu, tanh, sigmoid or linear")
      .add<std::string>("generator-output", "preset", "output activation of the generator: linear or tanh")
      .add<std::string>("biases", "preset", "whether layers have biases: true or false")
      .add<std::string>(
          "engine", "auto",
          "what computes the steps: native (fast on CPUs), torch, or auto: native where it applies")
      .add<std::string>("record", "all", "parameters to keep: all, last:EPOCHS or every:STEPS");
  return table;
}

RunSettings read_settings(const Options& options) {
  if (options.text("game") != "fcgan") refuse("--game: '{}' is not fcgan", options.text("game"));
  const Preset& preset = preset_named(options.text("preset"));
  const auto chosen = [&](const std::string& name, const char* fallback) {
    return choice(options, name, fallback);
  };
  RunSettings settings;
  settings.text = options.settings();
  settings.seed = options.seed("seed");
  settings.record = options.text("record");
  settings.engine = options.text("engine");
  settings.schedule = read_schedule(options);
  settings.data = {options.text("data"), settings.schedule.instances,
                   one_integer("held-out", chosen("held-out", preset.held_out)), settings.seed,
                   dtype_named(options.text("dtype"))};
  settings.latent_size = options.integer("latent", 1);
  settings.generator_hidden = widths("generator-hidden", chosen("generator-hidden", preset.generator_hidden));
  settings.discriminator_hidden =
      widths("discriminator-hidden", chosen("discriminator-hidden", preset.discriminator_hidden));
  settings.hidden = options.text("activation");
  settings.generator_output = chosen("generator-output", preset.generator_output);
  parse_activation("activation", settings.hidden);
  parse_activation("generator-output", settings.generator_output);
  settings.biases = yes_or_no("biases", chosen("biases", preset.biases));
  settings.l2 = one_real("l2", chosen("l2", preset.l2));
  return settings;
}

std::shared_ptr<const AdversarialGame> RunSettings::make_game(std::int64_t data_width) const {
  return std::make_shared<Fcgan>(FcganOptions{
      data_width, latent_size, generator_hidden, discriminator_hidden, parse_activation("activation", hidden),
      parse_activation("generator-output", generator_output), biases, l2, data.dtype});
}

}  // namespace whence
