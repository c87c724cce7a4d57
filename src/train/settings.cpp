#include "whence/train/settings.h"

#include <map>
#include <set>
#include <sstream>

#include "whence/core/error.h"
#include "whence/data/places.h"
#include "whence/optimise/optimiser.h"
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
  if (text != "instances" && text != "held-out") refuse_value("train-on", text, {"instances", "held-out"});
  return text == "held-out";
}

ScheduleOptions read_schedule(const ChosenOptions& options, const GameKind& kind) {
  ScheduleOptions schedule;
  schedule.instances = options.integer(trains_on_held_out(options) ? "held-out" : "instances", 1);
  schedule.batch = options.integer("batch", 1);
  schedule.epochs = options.integer("epochs", 1);
  for (const std::string& name : kind.rates) schedule.rates.push_back(options.real(name, true));
  if (kind.rates.empty()) schedule.rates = options.reals("rates", true);
  const std::string update = options.text("update"), decay = options.text("rate-decay");
  if (update == "alternating")
    schedule.update = Update::alternating;
  else if (update != "simultaneous")
    refuse_value("update", update, {"simultaneous", "alternating"});
  if (decay == "inverse-sqrt")
    schedule.decay = Decay::inverse_sqrt;
  else if (decay != "constant")
    refuse_value("rate-decay", decay, {"constant", "inverse-sqrt"});
  const auto optimiser = make_optimiser(options.text("optimiser"));
  if (schedule.update == Update::alternating && !optimiser->allows_turns())
    refuse("--optimiser: {} keeps averages of every player's gradients, so it needs --update simultaneous",
           optimiser->name());
  schedule.instances += planted_count(optional_text(options, "plant"));
  schedule.total_steps = options.integer("steps", 0);
  if (schedule.total_steps > 0) schedule.epochs = schedule.total_steps / Schedule(schedule).steps_per_epoch();
  const Schedule checked(schedule);
  if (record_of(options) != undecided)
    recorded_steps(record_of(options), checked.steps(), checked.steps_per_epoch());
  return schedule;
}

PixelRange pixels_of(const std::string& text) {
  if (text == "zero-to-one") return PixelRange::zero_to_one;
  if (text == "minus-one-to-one") return PixelRange::minus_one_to_one;
  refuse_value("pixels", text, {"zero-to-one", "minus-one-to-one"});
}

DataOptions read_data(const ChosenOptions& options, const GameKind& kind, std::uint64_t seed) {
  DataOptions data{options.text("data"), options.integer("instances", 1), options.integer("held-out", 1),
                   seed, options.dtype()};
  data.test = options.integer("test", 0);
  data.swapped = trains_on_held_out(options);
  data.pixels = kind.pixels;
  if (kind.has("pixels")) data.pixels = pixels_of(options.text("pixels"));
  if (options.text("class-filter") != "all") data.class_filter = options.integer("class-filter", 0);
  if (kind.has("image-size")) data.image_size = options.integer("image-size", 0);
  data.plant = optional_text(options, "plant");
  if (!data.plant.empty() && kind.needs_labels)
    refuse("--plant: {} needs labels, and planted instances have none", kind.name);
  data.without = absolute_file(optional_text(options, "without"));
  data.source = absolute_source(data.source);
  data.plant = absolute_source(data.plant);
  return data;
}

// The settings with the absolute places of files, so that later jobs find them from any working folder.
std::string with_places(const std::string& settings, const DataOptions& data, const std::string& game) {
  const std::map<std::string, std::string> places{
      {"data", data.source}, {"plant", data.plant}, {"without", data.without}, {"game", game}};
  std::istringstream lines(settings);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find(" = "));
    const auto place = places.find(name);
    text += (place == places.end() || place->second.empty() ? line : name + " = " + place->second) + "\n";
  }
  return text;
}

// "fcgan (a GAN of perceptrons), ..."
std::string summaries_of_games() {
  std::vector<std::string> parts;
  for (const GameKind& kind : game_kinds()) parts.push_back(fmt::format("{} ({})", kind.name, kind.summary));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Each once, with the games that have it.
void add_options_of_games(OptionTable& table) {
  std::set<std::string> added;
  for (const GameKind& kind : game_kinds())
    for (const GameOption& option : kind.options) {
      if (!added.insert(option.name).second) continue;
      std::vector<std::string> games;
      for (const GameKind& other : game_kinds())
        if (other.has(option.name)) games.push_back(other.name);
      table.add<std::string>(option.name, "preset",
                             fmt::format("{} ({})", option.help, fmt::join(games, ", ")));
    }
}

}  // namespace

OptionTable train_options() {
  OptionTable table("train");
  table.required("out", "run folder to create, or to go on with")
      .add<std::string>("game", "fcgan", "game to train: " + summaries_of_games())
      .add<std::string>("preset", "published", "decides the values left at 'preset': published or paper")
      .add<std::string>("data", "normal2d",
                        "normal2d, mnist:DIR, idx:IMAGES[,LABELS] or cifar10:FILE[,FILE] (gzip or plain)")
      .add<std::string>("class-filter", "all", "only instances with this label, or all")
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
      .add<std::string>("rate-decay", "constant", "constant, or inverse-sqrt: rate / sqrt(t + 1) at step t")
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
  add_options_of_games(table);
  return table;
}

RunSettings read_settings(const Options& given) {
  ChosenOptions options = choose_options(given);
  const GameKind& kind = game_kind(options.text("game"));
  const std::uint64_t seed = given.seed("seed");
  ScheduleOptions schedule = read_schedule(options, kind);
  schedule.seed = seed;
  const DataOptions data = read_data(options, kind, seed);
  options.set_game_file(absolute_file(options.game_file()));
  RunSettings settings{
      options,
      with_places(options.settings(), data, kind.from_file ? kind.name + ":" + options.game_file() : ""),
      kind.name,
      seed,
      data,
      schedule,
      record_of(options),
      options.text("optimiser"),
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

std::shared_ptr<const Game> RunSettings::make_game(const DataSplit& split) const {
  const Dataset& train = split.train;
  return game_kind(game).make(options,
                              {data.source, train.shape, split.classes, train.instances.min().item<double>(),
                               train.instances.max().item<double>()});
}

}  // namespace whence
