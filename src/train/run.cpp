#include "whence/train/run.h"

#include <algorithm>
#include <filesystem>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/game/engine.h"
#include "whence/train/settings_defaults.h"
#include "whence/train/step.h"
#include "whence/train/trajectory/recording.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

RunSettings recorded_settings(const std::string& path, const std::string& folder) {
  try {
    return read_settings(Options(train_options(), {"--config=" + path, "--out=" + folder}));
  } catch (const UsageError& error) {
    // The user did not give these options: the file has them.
    fail("{}: {}", path, error.what());
  }
}

// The model's file where it should be and is not; else "".
std::string missing_model(const RunSettings& settings) {
  const std::string& model = settings.options.game_file();
  std::error_code ignored;  // what cannot be looked at is not there
  return model.empty() || fs::exists(model, ignored) ? "" : model;
}

// Settings of a run whose files of data are all there.
RunSettings with_data(RunSettings settings, const std::string& folder) {
  if (const std::string model = missing_model(settings); !model.empty())
    fail("{}: its model is not there any more: {}; --game script:FILE says where it lies now", folder, model);
  const std::vector<std::string> missing = missing_places(settings.data);
  if (!missing.empty())
    fail("{}: its data are not there any more: {}; --data (--plant, --without) says where they lie now",
         folder, fmt::join(missing, ", "));
  return settings;
}

// What is wrong with the settings of a run is wrong with their file, unless this job's options moved its
// data.
template <typename Function>
auto said_of_file(const std::string& folder, const DataPlaces& places, const Function& work) {
  try {
    return work();
  } catch (const UsageError& error) {
    if (!(places.data + places.plant + places.without + places.game).empty()) throw;
    fail("{}/run.cfg: {}", folder, error.what());
  }
}

// Listed instances are known to be missing only once the data are there, and players once a model is.
ScheduleOptions fitted(ScheduleOptions options, std::int64_t instances, const Game& game) {
  options.instances = instances;
  const auto players = static_cast<std::size_t>(game.layout().player_count());
  if (options.rates.size() == 1) options.rates.resize(players, options.rates.front());
  if (options.rates.size() != players)
    refuse("--rates: {} numbers for {} players ({})", options.rates.size(), players,
           fmt::join(game.layout().players(), ", "));
  return options;
}

Dataset on_device(Dataset data, at::Device device, const DataAccess& access) {
  data.instances = data.instances.on(device, access.device_memory);
  if (data.labels.defined()) data.labels = data.labels.to(device);
  return data;
}

}  // namespace

RunParts::RunParts(const RunSettings& chosen, at::Device where)
    : settings(chosen),
      device(where),
      data(load_data(chosen.data)),
      training_data(on_device(data.train, where, chosen.data.access)),
      data_fingerprint(fingerprint(chosen.data, data)),
      game(chosen.make_game(data)),
      engine(make_engine(chosen.engine, game, where)),
      schedule(fitted(chosen.schedule, data.train.size(), *game)),
      optimiser(make_optimiser(chosen.optimiser)) {
  settings.schedule.rates = schedule.options().rates;
}

TrajectoryPlan RunParts::plan() const {
  Attributes attributes{{"settings", settings.text},
                        {"seed", std::to_string(settings.seed)},
                        {"data", data_fingerprint},
                        {"engine", engine->name()},
                        {"layout", game->layout().json()}};
  if (!game->fingerprint().empty()) attributes["model"] = game->fingerprint();
  return {attributes,
          schedule.steps(),
          optimiser->state_size(game->layout().size()),
          settings.schedule.batch,
          game->layout().player_count(),
          settings.data.dtype,
          recorded_steps(settings.record, schedule.steps(), schedule.steps_per_epoch()),
          data.train.ids};
}

at::Tensor RunParts::validation_latents() const {
  return whence::validation_latents(settings.seed, data.held_out.size(), game->latent_size(), game->dtype())
      .to(device);
}

at::Tensor RunParts::test_latents() const {
  return whence::test_latents(settings.seed, settings.data.test, game->latent_size(), game->dtype())
      .to(device);
}

at::Tensor RunParts::initial_state() const { return state_from(game->initial_parameters(settings.seed)); }

at::Tensor RunParts::state_from(const at::Tensor& theta) const {
  return optimiser->initial_state(theta.to(device).unsqueeze(0))[0];
}

RunSettings settings_in(const std::string& folder, const DataPlaces& places) {
  if (!fs::is_directory(folder)) fail("{}: no such run folder", fs::absolute(folder).string());
  const std::string path = folder + "/run.cfg";
  if (!fs::exists(path)) fail("{}: not a run folder (it has no run.cfg)", folder);
  if (!fs::is_regular_file(path)) fail("{}: is not a file", path);  // a pipe would be waited for
  RunSettings settings = recorded_settings(path, folder);
  find_places(settings.data, folder);
  settings.options.set_game_file(find_file(settings.options.game_file(), folder));
  if (!places.game.empty()) {
    if (settings.options.game_file().empty())
      refuse("--game: the run in {} is of the game {}, which needs no file", folder, settings.game);
    if (game_kind(places.game).name != settings.game || file_of_game(places.game).empty())
      refuse("--game: '{}' is not {}:FILE, what the run in {} was trained with", places.game, settings.game,
             folder);
    settings.options.set_game_file(absolute_file(file_of_game(places.game)));
  }
  settings.data.access = places.access;
  if (!places.data.empty()) settings.data.source = absolute_source(places.data);
  if (!places.plant.empty()) settings.data.plant = absolute_plant(places.plant);
  if (!places.without.empty()) settings.data.without = absolute_file(places.without);
  return settings;
}

std::vector<std::string> missing_files(const RunSettings& settings) {
  std::vector<std::string> missing = missing_places(settings.data);
  if (const std::string model = missing_model(settings); !model.empty()) missing.push_back(model);
  return missing;
}

void check_settings(const Trajectory& trajectory, const RunSettings& settings) {
  const std::string differs = run_settings_difference(trajectory.attribute("settings"), settings.text);
  if (!differs.empty())
    fail("{}: was recorded with other settings than the run.cfg beside it says ({})", trajectory.path(),
         differs);
}

Run::Run(const std::string& folder, at::Device device, const DataPlaces& places)
    : folder_(folder),
      parts_(said_of_file(folder, places,
                          [&] { return RunParts(with_data(settings_in(folder, places), folder), device); })),
      trajectory_(folder + "/trajectory.h5"),
      readers_(MPI_COMM_SELF),
      ahead_([this](std::int64_t t) { return row(t); }, device),
      replay_(new_replay({Walk::forth, Communicator(MPI_COMM_SELF), 0})) {
  const TrajectoryPlan plan = said_of_file(folder, places, [this] { return parts_.plan(); });
  check_settings(trajectory_, parts_.settings);
  if (!same_data(trajectory_.attribute("data"), plan.attributes.at("data")))
    fail("{}: was recorded with other data than {} holds now ({} there and {} here)", trajectory_.path(),
         parts_.settings.data.source, trajectory_.attribute("data"), plan.attributes.at("data"));
  if (const auto model = plan.attributes.find("model");
      model != plan.attributes.end() && trajectory_.attribute("model") != model->second)
    fail(
        "{}: was recorded with another model than {} ({} there and {} here); --game script:FILE says where "
        "it "
        "lies now",
        trajectory_.path(), parts_.settings.options.game_file(), trajectory_.attribute("model"),
        model->second);
  if (trajectory_.attribute("layout") != plan.attributes.at("layout"))
    fail("{}: was recorded with other networks than {}/run.cfg says", trajectory_.path(), folder);
  const bool right_batches = (!trajectory_.knows_batches() || trajectory_.batch_size() == plan.batch) &&
                             trajectory_.players() == plan.players && trajectory_.dtype() == plan.dtype;
  if (trajectory_.steps() != plan.steps || trajectory_.parameters() != plan.parameters || !right_batches ||
      trajectory_.recorded() != plan.recorded || trajectory_.instance_ids() != plan.instance_ids)
    fail("{}: its steps or instances are not those of its settings; the file is damaged", trajectory_.path());
}

at::Tensor Run::params(std::int64_t t) const { return parts_.optimiser->model(state(t)); }

at::Tensor Run::state(std::int64_t t) const { return replay_->state(t); }

std::unique_ptr<Replay> Run::new_replay(const ReplayOptions& options) const {
  return std::make_unique<Replay>(parts_.training(),
                                  RecordedStates{trajectory_.path(), trajectory_.recorded(),
                                                 [this](std::int64_t t) { return recorded_state(t); }},
                                  options);
}

void Run::walk_back(const Communicator& ranks, std::int64_t memory) {
  readers_ = ranks;
  replay_ = new_replay({Walk::back, ranks, memory});
}

at::Tensor Run::row(std::int64_t t) const {
  return t == steps() ? trajectory_.params(t) : trajectory_.params(t, readers_);
}

at::Tensor Run::recorded_state(std::int64_t t) const {
  return parts_.device.is_cpu() ? row(t) : ahead_.take(t);
}

void Run::expect(std::int64_t t) const {
  const auto& recorded = trajectory_.recorded();
  const auto after = std::lower_bound(recorded.begin(), recorded.end(), t);
  if (!parts_.device.is_cpu()) {
    if (*after == t) ahead_.read(t);
  } else if (after != recorded.begin() && *(after - 1) != prefetched_) {
    prefetched_ = *(after - 1);
    trajectory_.prefetch(prefetched_, readers_);
  }
}

void Run::check_epochs_back(const std::string& option, const std::vector<std::int64_t>& epochs_back) const {
  const std::int64_t per_epoch = parts_.schedule.steps_per_epoch();
  if (!trajectory_.knows_batches())
    refuse("--run: {} was imported without its mini-batches, so no step of it can be taken again", folder_);
  for (const std::int64_t epochs : epochs_back) {
    if (epochs > parts_.settings.schedule.epochs)
      refuse("--{}: {} is more than the run's {} epochs", option, epochs, parts_.settings.schedule.epochs);
    if (steps() - epochs * per_epoch < trajectory_.recorded().front())
      refuse("--{}: {} goes back before the first recorded step (the run was trained with --record {})",
             option, epochs, parts_.settings.record);
  }
}

}  // namespace whence
