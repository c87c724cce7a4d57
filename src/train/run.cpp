#include "whence/train/run.h"

#include <algorithm>
#include <filesystem>

#include "whence/core/error.h"
#include "whence/game/native_engine.h"
#include "whence/train/step.h"
#include "whence/train/trajectory/recording.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

RunSettings settings_in(const std::string& folder) {
  if (!fs::is_directory(folder)) fail("{}: no such run folder", folder);
  const std::string path = folder + "/run.cfg";
  if (!fs::exists(path)) fail("{}: not a run folder (it has no run.cfg)", folder);
  return read_settings(Options(train_options(), {"--config", path, "--out", folder}));
}

// Listed instances are known to be missing only once the data are there.
ScheduleOptions for_instances(ScheduleOptions options, std::int64_t instances) {
  options.instances = instances;
  return options;
}

Dataset on_device(Dataset data, at::Device device) {
  data.instances = data.instances.to(device);
  if (data.labels.defined()) data.labels = data.labels.to(device);
  return data;
}

}  // namespace

RunParts::RunParts(const RunSettings& chosen, at::Device where)
    : settings(chosen),
      device(where),
      data(load_data(chosen.data)),
      training_data(on_device(data.train, where)),
      data_fingerprint(fingerprint(chosen.data, data)),
      game(chosen.make_game(data.train)),
      engine(make_engine(chosen.engine, game, where)),
      schedule(for_instances(chosen.schedule, data.train.size())) {}

TrajectoryPlan RunParts::plan() const {
  return {{{"settings", settings.text},
           {"seed", std::to_string(settings.seed)},
           {"data", data_fingerprint},
           {"engine", engine->name()},
           {"layout", game->layout().json()}},
          schedule.steps(),
          state_size(settings.schedule.optimiser, game->layout().size()),
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

at::Tensor RunParts::initial_state() const {
  return whence::initial_state(settings.schedule.optimiser,
                               game->initial_parameters(settings.seed).to(device).unsqueeze(0))[0];
}

Run::Run(const std::string& folder, at::Device device)
    : folder_(folder),
      parts_(settings_in(folder), device),
      trajectory_(folder + "/trajectory.h5"),
      ahead_(trajectory_, device),
      replay_(new_replay({Walk::forth, Communicator(MPI_COMM_SELF), 0})) {
  const TrajectoryPlan plan = parts_.plan();
  const auto must_equal = [&](const std::string& name, const std::string& what) {
    if (trajectory_.attribute(name) != plan.attributes.at(name))
      fail("{}: was recorded with other {} than {}", trajectory_.path(), what, folder + "/run.cfg says");
  };
  must_equal("settings", "settings");
  must_equal("data", "data");
  must_equal("layout", "networks");
  if (trajectory_.steps() != plan.steps || trajectory_.parameters() != plan.parameters ||
      trajectory_.recorded() != plan.recorded || trajectory_.instance_ids() != plan.instance_ids)
    fail("{}: its steps or instances are not those of its settings; the file is damaged", trajectory_.path());
}

at::Tensor Run::params(std::int64_t t) const { return state(t).narrow(0, 0, parts_.game->layout().size()); }

at::Tensor Run::state(std::int64_t t) const { return replay_->state(t); }

std::unique_ptr<Replay> Run::new_replay(const ReplayOptions& options) const {
  return std::make_unique<Replay>(parts_.training(),
                                  RecordedStates{trajectory_.path(), trajectory_.recorded(),
                                                 [this](std::int64_t t) { return recorded_state(t); }},
                                  options);
}

void Run::walk_back(const Communicator& ranks, std::int64_t memory) {
  replay_ = new_replay({Walk::back, ranks, memory});
}

at::Tensor Run::recorded_state(std::int64_t t) const {
  return parts_.device.is_cpu() ? trajectory_.params(t) : ahead_.take(t);
}

void Run::expect(std::int64_t t) const {
  if (parts_.device.is_cpu()) return;
  const auto& recorded = trajectory_.recorded();
  if (std::binary_search(recorded.begin(), recorded.end(), t)) ahead_.read(t);
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
