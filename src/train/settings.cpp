#include "whence/train/settings.h"

#include "whence/core/error.h"
#include "whence/train/recording.h"

namespace whence {
namespace {

bool trains_on_held_out(const ChosenOptions& options) {
  const std::string text = options.text("train-on");
  if (text != "instances" && text != "held-out")
    refuse("--train-on: '{}' is not instances or held-out", text);
  return text == "held-out";
}

ScheduleOptions read_schedule(const ChosenOptions& options, const GameKind& kind) {
  ScheduleOptions schedule;
  schedule.instances = options.integer(trains_on_held_out(options) ? "held-out" : "instances", 1);
  schedule.batch = options.integer("batch", 1);
  schedule.epochs = options.integer("epochs", 1);
  for (const std::string& name : kind.rates) schedule.rates.push_back(options.real(name, true));
  const std::string update = options.text("update"), decay = options.text("rate-decay");
  if (update == "alternating")
    schedule.update = Update::alternating;
  else if (update != "simultaneous")
    refuse("--update: '{}' is not simultaneous or alternating", update);
  if (decay == "inverse-sqrt")
    schedule.decay = Decay::inverse_sqrt;
  else if (decay != "constant")
    refuse("--rate-decay: '{}' is not constant or inverse-sqrt", decay);
  const std::string optimiser = options.text("optimiser");
  if (optimiser == "adam")
    schedule.optimiser = Optimiser::adam;
  else if (optimiser != "sgd")
    refuse("--optimiser: '{}' is not sgd or adam", optimiser);
  if (schedule.optimiser == Optimiser::adam && schedule.update == Update::alternating)
    refuse("--optimiser: adam keeps averages of every player's gradients, so it needs --update simultaneous");
  const Schedule checked(schedule);
  recorded_steps(options.text("record"), checked.steps(), checked.steps_per_epoch());
  return schedule;
}

}  // namespace

OptionTable train_options() {
  OptionTable table("train");
  table.required("out", "run folder to create, or to go on with")
      .add<std::string>("game", "fcgan", "game to train: fcgan, dcgan or classifier")
      .add<std::string>("preset", "published", "decides the values left at 'preset': published or paper")
      .add<std::string>("data", "normal2d", "normal2d, mnist:DIR or idx:IMAGES[,LABELS] (gzip or plain)")
      .add<std::string>("instances", "10000", "N, training instances")
      .add<std::string>("held-out", "preset",
                        "N', held-out instances and validation latents that metrics use")
      .add<std::string>("test", "preset",
                        "N_test, instances and latents that cleansing is tested by, disjoint from all others")
      .add<std::string>(
          "train-on", "preset",
          "instances, or held-out: train on those N' that a run with the same numbers holds out, "
          "and hold out its N")
      .add<std::string>("epochs", "50", "K, passes over the training instances")
      .add<std::string>("batch", "preset", "|S|, instances a step; an incomplete last batch is dropped")
      .add<std::int64_t>("seed", 0, "of data, initial weights, shuffles and latents")
      .add<std::string>("dtype", "preset", "float64 or float32")
      .add<std::string>("update", "simultaneous", "simultaneous, or alternating (one player a step)")
      .add<std::string>("optimiser", "preset", "sgd, or adam (theta, m and v are recorded; no trace-back)")
      .add<std::string>("rate-generator", "preset", "learning rate of the generator")
      .add<std::string>("rate-discriminator", "preset", "learning rate of the discriminator")
      .add<std::string>("rate-classifier", "preset", "learning rate of the classifier")
      .add<std::string>("rate-decay", "constant", "constant, or inverse-sqrt: rate / sqrt(t + 1) at step t")
      .add<std::string>("l2", "preset", "gamma: gamma/2 * sum(kernel^2) is added to the owner's loss")
      .add<std::string>("latent", "preset", "numbers a latent")
      .add<std::string>("channels", "preset", "channels of every hidden convolution")
      .add<std::string>("generator-hidden", "preset", "hidden widths of the generator, e.g. 32,32")
      .add<std::string>("discriminator-hidden", "preset", "hidden widths of the discriminator, e.g. 64,64")
      .add<std::string>("activation", "preset", "hidden activation: relu, tanh, sigmoid or linear")
      .add<std::string>("generator-output", "preset", "output activation of the generator: linear or tanh")
      .add<std::string>("biases", "preset", "whether layers have biases: true or false")
      .add<std::string>(
          "engine", "auto",
          "what computes the steps: native (fast on CPUs), torch, or auto: native where it applies")
      .add<std::string>("record", "all", "parameters to keep: all, last:EPOCHS or every:STEPS");
  return table;
}

RunSettings read_settings(const Options& given) {
  const ChosenOptions options = choose_options(given);
  const GameKind& kind = game_kind(options.text("game"));
  const std::uint64_t seed = given.seed("seed");
  ScheduleOptions schedule = read_schedule(options, kind);
  schedule.seed = seed;
  const DataOptions data{
      options.text("data"), options.integer("instances", 1), options.integer("held-out", 1), seed,
      options.dtype(),      options.integer("test", 0),      trains_on_held_out(options)};
  return {options,
          options.settings(),
          kind.name,
          seed,
          data,
          schedule,
          options.text("record"),
          options.text("engine")};
}

std::shared_ptr<const Game> RunSettings::make_game(const Dataset& data) const {
  return game_kind(game).make(options, data);
}

}  // namespace whence
