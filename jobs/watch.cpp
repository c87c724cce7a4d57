#include "watch.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "whence/train/step.h"
#include "whence/train/trajectory/writer.h"

namespace whence {
namespace {

constexpr std::int64_t moments = 10, most_told = 25;

}  // namespace

TrainingWatch::TrainingWatch(const RunParts& parts, Watched watched, const std::string& folder,
                             std::int64_t first, const Log& log, const Communicator& world)
    : parts_(parts),
      watched_(std::move(watched)),
      log_(log),
      world_(world),
      first_(first),
      copied_(device_mark(parts.device)) {
  if (watched_.every == 0) return;
  const HistoryPlan plan = history_plan(parts, watched_);
  if (plan.samples > 0) moments_ = moments_of(parts.schedule.steps(), moments);
  world_.on_root([&] {
    points_ = watched_points(parts);
    if (plan.samples > 0)
      sample_latents_ = validation_latents(parts.settings.seed, plan.samples, parts.game->latent_size(),
                                           parts.game->dtype())
                            .to(parts.device);
    history_ = std::make_unique<History>(folder, plan, first);
    if (history_->lacks_beginning())
      log.say(fmt::format("{}/history.csv: steps before {} were not watched", folder, first));
  });
}

bool TrainingWatch::has_row(std::int64_t t) const {
  return watched_.every > 0 && (t % watched_.every == 0 || t == parts_.schedule.steps());
}

// Each rank computes its part; they meet on rank 0.
std::vector<double> TrainingWatch::metric_values(const at::Tensor& theta) const {
  std::vector<std::uint64_t> own(watched_.metrics.size(), 0);
  world_.wait_for_device();
  world_.on_every_rank([&] {
    for (std::size_t i = world_.rank(); i < own.size(); i += world_.size()) {
      const double value = watched_.metrics[i]->value(theta.unsqueeze(0))[0].item<double>();
      std::memcpy(&own[i], &value, sizeof value);
    }
  });
  const auto all = world_.gather(own);
  std::vector<double> values(all.empty() ? 0 : own.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    std::memcpy(&values[i], &all[i % all.size()][i], sizeof(double));
  return values;
}

void TrainingWatch::see(std::int64_t t, const at::Tensor& state) {
  const bool on_device = !parts_.device.is_cpu();
  if (t > first_ && (t - first_) % TrajectoryWriter::block == 0) {
    if (on_device) flush();  // the step loop has just waited for the device
    if (!on_device && history_ != nullptr) history_->sync();
  }
  const bool shows = std::binary_search(moments_.begin(), moments_.end(), t);
  if (!has_row(t) && !shows) return;
  const at::Tensor theta = parts_.optimiser->model(state);
  std::vector<double> values;
  if (has_row(t) && !watched_.metrics.empty()) values = metric_values(theta);
  if (shows) world_.wait_for_device();
  world_.on_root([&] {
    if (shows) history_->add_samples(t, parts_.game->generator()->samples(theta, sample_latents_));
    if (!has_row(t)) return;
    const at::Tensor host = staging_buffer({static_cast<std::int64_t>(parts_.game->layout().player_count())},
                                           at::kDouble, parts_.device);
    host.copy_(player_losses(*parts_.game, points_, theta), /*non_blocking=*/true);
    copied_->set();
    unread_.push_back({t, host, std::move(values)});
    if (!on_device) write_down();
  });
}

void TrainingWatch::flush() {
  world_.on_root([&] {
    write_down();
    if (history_ != nullptr) history_->sync();
  });
}

void TrainingWatch::write_down() {
  if (unread_.empty()) return;
  copied_->wait();
  for (; !unread_.empty(); unread_.pop_front()) keep(unread_.front());
}

void TrainingWatch::keep(const Unread& unread) {
  const double* losses = unread.losses.data_ptr<double>();
  HistoryRow row{unread.step, {losses, losses + unread.losses.numel()}};
  row.values.insert(row.values.end(), unread.metrics.begin(), unread.metrics.end());
  tell(row);
  history_->add(std::move(row));
}

void TrainingWatch::tell(const HistoryRow& row) {
  const auto& columns = history_->plan().columns;
  const std::int64_t steps = parts_.schedule.steps(), rows = steps / watched_.every + 1,
                     number = row.step / watched_.every;
  if (rows <= most_told || row.step == steps || number == 0 ||
      number * most_told / rows > (number - 1) * most_told / rows) {
    std::string text =
        fmt::format("step {} (epoch {:.4g}):", row.step,
                    static_cast<double>(row.step) / static_cast<double>(parts_.schedule.steps_per_epoch()));
    for (std::size_t i = 0; i < columns.size(); ++i)
      text += fmt::format("{} {} {:.5g}", i == 0 ? "" : ",", columns[i], row.values[i]);
    log_.say(text);
  }
  const auto& players = parts_.game->layout().players();
  const auto players_part = [&](const std::vector<double>& values) {
    return std::vector<double>(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(players.size()));
  };
  const HistoryRow& first = history_->rows().empty() ? row : history_->rows().front();
  const std::string warning =
      divergence_in_words(players, players_part(first.values), players_part(row.values));
  if (!warned_ && !warning.empty()) log_.say(fmt::format("step {}: {}", row.step, warning));
  warned_ = warned_ || !warning.empty();
}

void TrainingWatch::finish(const at::Tensor& state) {
  see(parts_.schedule.steps(), state);
  world_.wait_for_device();
  world_.on_root([&] {
    write_down();
    if (history_ != nullptr)
      history_->finish(state, {{"settings", parts_.settings.text},
                               {"seed", std::to_string(parts_.settings.seed)},
                               {"data", parts_.data_fingerprint}});
  });
}

}  // namespace whence
