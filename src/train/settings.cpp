#include "whence/train/settings.h"

#include <map>
#include <set>
#include <sstream>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/data/places.h"
#include "whence/game/defaults.h"
#include "whence/train/start.h"
#include "whence/train/trajectory/recording.h"

namespace whence {
namespace {

const std::string undecided = "auto";

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

Decay decay_named(const std::string& name) {
  const std::vector<std::pair<std::string, Decay>> decays{{"constant", Decay::constant},
                                                          {"inverse-sqrt", Decay::inverse_sqrt},
                                                          {"cosine", Decay::cosine},
                                                          {"linear", Decay::linear}};
  std::vector<std::string> names;
  for (const auto& [known, decay] : decays) {
    if (known == name) return decay;
    names.push_back(known);
  }
  refuse_value("rate-decay", name, names);
}

// A share of what was before, from 0 to less than 1.
double share_of_before(const ChosenOptions& options, const std::string& name) {
  const double value = options.real(name);
  if (value >= 1) refuse("--{} is {}, but must be less than 1", name, options.text(name));
  return value;
}

OptimiserOptions read_optimiser(const ChosenOptions& options) {
  OptimiserOptions chosen;
  chosen.name = options.text("optimiser");
  const auto has = [&](const char* option) { return options.text(option) != "none"; };
  if (has("momentum")) chosen.momentum = share_of_before(options, "momentum");
  if (has("nesterov")) chosen.nesterov = options.yes_or_no("nesterov");
  if (has("beta1")) chosen.beta1 = share_of_before(options, "beta1");
  if (has("beta2")) chosen.beta2 = share_of_before(options, "beta2");
  if (has("epsilon")) {
    chosen.epsilon = options.real("epsilon");
    chosen.epsilon_root = options.real("epsilon-root");
    if (chosen.epsilon == 0 && chosen.epsilon_root == 0)
      refuse("--epsilon: must be greater than 0 where --epsilon-root is 0");
  }
  chosen.weight_decay = options.real("weight-decay");
  chosen.clip_norm = options.real("clip-norm");
  chosen.average = share_of_before(options, "average");
  make_optimiser(chosen);  // refuses an unknown name
  return chosen;
}

ScheduleOptions read_schedule(const ChosenOptions& options, const GameKind& kind) {
  ScheduleOptions schedule;
  schedule.instances = options.integer(trains_on_held_out(options) ? "held-out" : "instances", 1);
  schedule.batch = options.integer("batch", 1);
  schedule.epochs = options.integer("epochs", 1);
  for (const std::string& name : kind.rates) schedule.rates.push_back(options.real(name, true));
  if (kind.rates.empty()) schedule.rates = options.reals("rates", true);
  const std::string update = options.text("update");
  if (update == "alternating")
    schedule.update = Update::alternating;
  else if (update != "simultaneous")
    refuse_value("update", update, {"simultaneous", "alternating"});
  schedule.decay = decay_named(options.text("rate-decay"));
  schedule.last_player_steps = options.integer("discriminator-steps", 1);
  if (schedule.last_player_steps > 1 &&
      (schedule.update != Update::alternating || (!kind.rates.empty() && schedule.rates.size() < 2)))
    refuse("--discriminator-steps: needs --update alternating and a game of several players");
  schedule.instances += planted_count(optional_text(options, "plant"));
  schedule.epoch_steps = options.integer("epoch-steps", 0);
  schedule.total_steps = options.integer("steps", 0);
  if (schedule.total_steps > 0) schedule.epochs = schedule.total_steps / Schedule(schedule).steps_per_epoch();
  schedule.warmup = options.integer("warmup", 0);
  const Schedule checked(schedule);
  if (schedule.warmup > checked.steps())
    refuse("--warmup is {}, but the run has only {} steps", schedule.warmup, checked.steps());
  if (record_of(options) != undecided)
    recorded_steps(record_of(options), checked.steps(), checked.steps_per_epoch());
  return schedule;
}

PixelRange pixels_of(const std::string& text) {
  if (text == "zero-to-one") return PixelRange::zero_to_one;
  if (text == "minus-one-to-one") return PixelRange::minus_one_to_one;
  refuse_value("pixels", text, {"zero-to-one", "minus-one-to-one"});
}

Orientation read_orientation(const ChosenOptions& options, const std::string& name) {
  const std::string text = options.text(name);
  if (text == "transpose") return Orientation::transpose;
  if (text == "channels-first") return Orientation::channels_first;
  if (text != "none") refuse_value(name, text, {"none", "transpose", "channels-first"});
  return Orientation::as_is;
}

DataOptions read_data(const ChosenOptions& options, const GameKind& kind, std::uint64_t seed) {
  const std::string ids = optional_text(options, "train-ids"), rows = optional_text(options, "train-rows");
  if (!ids.empty() && !rows.empty()) refuse("--train-rows: --train-ids says already which instances train");
  // Of a run that was trained elsewhere nothing may be left over.
  const std::int64_t held_out = options.integer("held-out", ids.empty() && rows.empty() ? 1 : 0);
  DataOptions data{options.text("data"), options.integer("instances", 1), held_out, seed, options.dtype()};
  data.train_ids = absolute_file(ids);
  data.train_rows = rows;
  if (kind.has("image-size")) data.round_resized = options.yes_or_no("resize-rounding");
  data.test = options.integer("test", 0);
  data.swapped = trains_on_held_out(options);
  data.orientation = read_orientation(options, "orient");
  data.plant_orientation = read_orientation(options, "plant-orient");
  data.pixels = kind.pixels;
  if (kind.has("pixels")) data.pixels = pixels_of(options.text("pixels"));
  if (options.text("class-filter") != "all") data.class_filter = options.integer("class-filter", 0);
  if (kind.has("image-size")) data.image_size = options.integer("image-size", 0);
  data.plant = optional_text(options, "plant");
  if (!data.plant.empty() && kind.needs_labels)
    refuse("--plant: {} needs labels, and planted instances have none", kind.name);
  data.without = absolute_file(optional_text(options, "without"));
  data.source = absolute_source(data.source);
  data.plant = absolute_plant(data.plant);
  return data;
}

// The settings with the absolute places of files, so that later jobs find them from any working folder.
std::string with_places(const std::string& settings, const DataOptions& data, const std::string& from,
                        const std::string& game) {
  const std::map<std::string, std::string> places{
      {"data", data.source},         {"plant", data.plant}, {"without", data.without},
      {"train-ids", data.train_ids}, {"from", from},        {"game", game}};
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

// --help shows what the preset makes of an option in place of the word 'preset'.
std::string with_default(const std::string& name, const std::string& help) {
  return help + "; default: " + default_in_words(name, optimiser_names());
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
      table.add<std::string>(
          option.name, "preset",
          with_default(option.name, fmt::format("{} ({})", option.help, fmt::join(games, ", "))));
    }
}

void add_optimiser_options(OptionTable& table) {
  table
      .add<std::string>(
          "optimiser", "preset",
          with_default("optimiser",
                       "sgd, momentum, adam, adamw or rmsprop; what it remembers is recorded with theta"))
      .add<std::string>(
          "momentum", "preset",
          with_default("momentum", "mu: share of the velocity that is kept (momentum, rmsprop)"))
      .add<std::string>("nesterov", "preset",
                        with_default("nesterov", "true or false: Nesterov's momentum (momentum)"))
      .add<std::string>("beta1", "preset",
                        with_default("beta1", "share of the first moment that is kept (adam, adamw)"))
      .add<std::string>(
          "beta2", "preset",
          with_default("beta2", "share of the second moment that is kept (adam, adamw, rmsprop)"))
      .add<std::string>("epsilon", "preset",
                        with_default("epsilon", "added to the second moment's root (adam, adamw, rmsprop)"))
      .add<std::string>(
          "epsilon-root", "preset",
          with_default("epsilon-root", "added to the second moment inside the root (adam, adamw, rmsprop)"))
      .add<std::string>(
          "weight-decay", "preset",
          with_default("weight-decay",
                       "lambda: lambda theta is added to the gradient; adamw shrinks theta by rate lambda"))
      .add<std::string>("clip-norm", "0", "largest norm of each player's gradient; 0: any")
      .add<std::string>(
          "average", "0",
          "share kept by an exponential average of theta, which is then the model that metrics, "
          "samples and queries look at; 0: theta is");
}

}  // namespace

OptionTable train_options() {
  OptionTable table("train");
  table.required("out", "run folder to create, or to go on with")
      .add<std::string>("game", "fcgan", "game to train: " + summaries_of_games())
      .add<std::string>("preset", "published",
                        "published or paper (fcgan): decides the defaults that differ between them")
      .add<std::string>("data", "normal2d",
                        source_forms() + " (idx, cifar10 and csv also gzip; mnist: a folder)")
      .add<std::string>("orient", "none",
                        "none; transpose: rows and columns of images exchanged; or channels-first: images "
                        "[h, w, c] become [c, h, w]")
      .add<std::string>("class-filter", "all", "only instances with this label, or all")
      .add<std::string>(
          "plant", "none",
          "SOURCE:NUMBER, so many foreign instances of a file as for --data, e.g. idx:IMAGES:100, train "
          "besides; or none")
      .add<std::string>("plant-orient", "none", "how planted images are turned, as --orient")
      .add<std::string>("without", "none", "file of instance ids, one a line, not to train on, or none")
      .add<std::string>(
          "train-ids", "none",
          "file of instance ids (rows of --data), one a line, that train, in place of those that the "
          "seed chooses; as many as --instances says; or none")
      .add<std::string>("train-rows", "none", "the same as FIRST:END, e.g. 0:5000; or none")
      .add<std::string>(
          "from", "none",
          "run folder whose model to start from, that of its end or (RUN:STEP) of a recorded step, or a "
          "PyTorch file (FILE.pt or FILE.pt:KEY) that has the tensors by their names; "
          "tools/import_checkpoints.py makes a run of other checkpoints; none: random ones")
      .add<std::string>("instances", "10000", "N, training instances")
      .add<std::string>(
          "held-out", "preset",
          with_default("held-out", "N', held-out instances and validation latents that metrics use"))
      .add<std::string>(
          "test", "preset",
          with_default("test",
                       "N_test, instances and latents that cleansing is tested by, disjoint from all others"))
      .add<std::string>(
          "train-on", "preset",
          with_default(
              "train-on",
              "instances, or held-out: train on those N' that a run with the same numbers holds out, "
              "and hold out its N"))
      .add<std::string>("epochs", "50", "K, passes over the training instances, or as --epoch-steps says")
      .add<std::string>("epoch-steps", "0",
                        "E, steps that count as an epoch, here and for --epochs-back, where data are so many "
                        "that training sees a part of them; 0: those of a pass over the instances")
      .add<std::string>("steps", "0", "T, training steps in place of --epochs; 0: as --epochs says")
      .add<std::string>("batch", "preset",
                        with_default("batch", "|S|, instances a step; an incomplete last batch is dropped"))
      .add<std::int64_t>("seed", 0, "of data, initial weights, shuffles and latents")
      .add<std::string>("dtype", "preset", with_default("dtype", "float64 or float32"))
      .add<std::string>("update", "simultaneous", "simultaneous, or alternating (one player a step)")
      .add<std::string>("discriminator-steps", "1",
                        "steps of the discriminator before each of the generator (--update alternating)")
      .add<std::string>(
          "rate-decay", "constant",
          "constant, inverse-sqrt (rate / sqrt(t + 1) at step t), cosine or linear (to 0 at the "
          "end)")
      .add<std::string>("warmup", "0", "steps over which rates rise to their values before any decay");
  add_optimiser_options(table);
  table
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
  const std::string chosen = options.text("game");
  const GameKind& kind = game_kind(chosen);
  const std::uint64_t seed = given.seed("seed");
  ScheduleOptions schedule = read_schedule(options, kind);
  schedule.seed = seed;
  const DataOptions data = read_data(options, kind, seed);
  const std::string from = absolute_start(optional_text(options, "from"));
  options.set_game_file(absolute_file(options.game_file()));
  const std::string game = kind.from_file ? kind.name + ":" + options.game_file() : "";
  RunSettings settings{options,
                       with_places(options.settings(), data, from, game),
                       kind.name,
                       seed,
                       data,
                       schedule,
                       record_of(options),
                       read_optimiser(options),
                       options.text("engine"),
                       from};
  // --checkpoints takes the place of --record, and leaves nothing to decide.
  if (settings.record != undecided && record_in(settings.text) == undecided)
    decide_record(settings, settings.record);
  return settings;
}

std::string record_in(const std::string& text) { return setting_in(text, "record"); }

void decide_record(RunSettings& settings, const std::string& record) {
  if (record_in(settings.text) == undecided)
    settings.text = with_setting(settings.text, "record",
                                 settings.options.integer("checkpoints", 0) > 0 ? "all" : record);
  settings.record = record;
}

std::shared_ptr<const Game> RunSettings::make_game(const DataSplit& split) const {
  const Dataset& train = split.train;
  const auto [least, most] = train.instances.range();
  return game_kind(game).make(options, {data.source, train.shape, split.classes, least, most});
}

}  // namespace whence
