#include "whence/train/settings.h"

#include "whence/core/error.h"
#include "whence/train/trajectory/recording.h"

namespace whence {
namespace {

const std::string undecided = "auto", record_line = "\nrecord = ";

std::string optional_text(const ChosenOptions& options, const std::string& name) {
  const std::string text = options.text(name);
  return text == "none" ? "" : text;
}

std::string record_of(const ChosenOptions& options) {
  const std::int64_t checkpoints = options.integer("checkpoints", 0);
  return checkpoints > 0 ? fmt::format("checkpoints:{}", checkpoints) : options.text("record");
}

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
  schedule.instances += planted_count(optional_text(options, "plant"));
  schedule.total_steps = options.integer("steps", 0);
  if (schedule.total_steps > 0) schedule.epochs = schedule.total_steps / Schedule(schedule).steps_per_epoch();
  const Schedule checked(schedule);
  if (record_of(options) != undecided)
    recorded_steps(record_of(options), checked.steps(), checked.steps_per_epoch());
  return schedule;
}

DataOptions read_data(const ChosenOptions& options, const GameKind& kind, std::uint64_t seed) {
  DataOptions data{options.text("data"), options.integer("instances", 1), options.integer("held-out", 1),
                   seed, options.dtype()};
  data.test = options.integer("test", 0);
  data.swapped = trains_on_held_out(options);
  data.pixels = kind.pixels;
  if (options.text("class-filter") != "all") data.class_filter = options.integer("class-filter", 0);
  if (kind.has("image-size")) data.image_size = options.integer("image-size", 0);
  data.plant = optional_text(options, "plant");
  if (!data.plant.empty() && options.text("game") == "classifier")
    refuse("--plant: a classifier needs labels, and planted instances have none");
  data.without = optional_text(options, "without");
  return data;
}

}  // namespace

OptionTable train_options() {
  OptionTable table("train");
  table.required("out", "run folder to create, or to go on with")
      .add<std::string>("game", "fcgan", "game to train: fcgan, dcgan, classifier, mlp-vae or conv-vae")
      .add<std::string>("preset", "published", "decides the values left at 'preset': published or paper")
      .add<std::string>("data", "normal2d",
                        "normal2d, mnist:DIR, idx:IMAGES[,LABELS] or cifar10:FILE[,FILE] (gzip or plain)")
      .add<std::string>("class-filter", "all", "only instances with this label, or all")
      .add<std::string>("image-size", "preset",
                        "pixels a side that cifar10's images are resized to; 0: as they are")
      .add<std::string>("plant", "none", "idx:IMAGES:NUMBER, foreign instances to train on besides, or none")
      .add<std::string>("without", "none", "file of instance ids, one a line, not to train on, or none")
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
      .add<std::string>("steps", "0", "T, training steps in place of --epochs; 0: as --epochs says")
      .add<std::string>("batch", "preset", "|S|, instances a step; an incomplete last batch is dropped")
      .add<std::int64_t>("seed", 0, "of data, initial weights, shuffles and latents")
      .add<std::string>("dtype", "preset", "float64 or float32")
      .add<std::string>("update", "simultaneous", "simultaneous, or alternating (one player a step)")
      .add<std::string>("optimiser", "preset", "sgd, or adam (theta, m and v are recorded; no trace-back)")
      .add<std::string>("rate-generator", "preset", "learning rate of the generator")
      .add<std::string>("rate-discriminator", "preset", "learning rate of the discriminator")
      .add<std::string>("rate-classifier", "preset", "learning rate of the classifier")
      .add<std::string>("rate", "preset", "learning rate of a VAE")
      .add<std::string>("rate-decay", "constant", "constant, or inverse-sqrt: rate / sqrt(t + 1) at step t")
      .add<std::string>("l2", "preset", "gamma: gamma/2 * sum(kernel^2) is added to the owner's loss")
      .add<std::string>("latent", "preset", "numbers a latent")
      .add<std::string>("beta", "preset", "weight of the KL term of a VAE's loss")
      .add<std::string>("loss", "preset", "reconstruction loss of a VAE: bernoulli or squared")
      .add<std::string>("hidden", "preset",
                        "hidden widths of mlp-vae's encoder, the decoder's backwards; published: 8, 4 and 2 "
                        "times --latent")
      .add<std::string>("channels", "preset", "channels of every hidden convolution")
      .add<std::string>("generator-hidden", "preset", "hidden widths of the generator, e.g. 32,32")
      .add<std::string>("discriminator-hidden", "preset", "hidden widths of the discriminator, e.g. 64,64")
      .add<std::string>("activation", "preset", "hidden activation: relu, tanh, sigmoid or linear")
      .add<std::string>("generator-output", "preset", "output activation of the generator: linear or tanh")
      .add<std::string>("biases", "preset", "whether layers have biases: true or false")
      .add<std::string>(
          "engine", "auto",
          "what computes the steps: native (fast on CPUs), torch, or auto: native where it applies")
      .add<std::string>("record", "auto",
                        "parameters to keep: all, last:EPOCHS, every:STEPS, checkpoints:NUMBER, "
                        "steps:STEP,STEP,... or auto: all, or about sqrt(T) checkpoints where all would take "
                        "more than 16 GiB or half of the free disk")
      .add<std::string>(
          "checkpoints", "0",
          "how many evenly spread checkpoints to keep, and the start, in place of --record; 0: as "
          "--record says");
  return table;
}

RunSettings read_settings(const Options& given) {
  const ChosenOptions options = choose_options(given);
  const GameKind& kind = game_kind(options.text("game"));
  const std::uint64_t seed = given.seed("seed");
  ScheduleOptions schedule = read_schedule(options, kind);
  schedule.seed = seed;
  RunSettings settings{options,
                       options.settings(),
                       kind.name,
                       seed,
                       read_data(options, kind, seed),
                       schedule,
                       record_of(options),
                       options.text("engine")};
  // --checkpoints takes the place of --record, and leaves nothing to decide.
  if (settings.record != undecided && record_in(settings.text) == undecided)
    decide_record(settings, settings.record);
  return settings;
}

std::string record_in(const std::string& text) {
  const std::size_t found = text.find(record_line);
  if (found == std::string::npos) return "";
  const std::size_t begin = found + record_line.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

void decide_record(RunSettings& settings, const std::string& record) {
  const std::string before = record_in(settings.text);
  if (before == undecided)
    settings.text.replace(settings.text.find(record_line) + record_line.size(), before.size(),
                          settings.options.integer("checkpoints", 0) > 0 ? "all" : record);
  settings.record = record;
}

std::shared_ptr<const Game> RunSettings::make_game(const Dataset& data) const {
  return game_kind(game).make(options,
                              {options.text("data"), data.shape,
                               data.labels.defined() ? data.labels.max().item<std::int64_t>() + 1 : 0,
                               data.instances.min().item<double>(), data.instances.max().item<double>()});
}

}  // namespace whence
