#include "training_cost.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "whence/train/trajectory/writer.h"

#include "setting.h"

namespace whence::bench {
namespace {

double seconds_of(const Communicator& world, const std::function<void()>& work) {
  world.barrier();
  const auto start = std::chrono::steady_clock::now();
  work();
  return world.max(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

void train_bare(const RunParts& parts, const Communicator& world) {
  train(parts.training(), parts.game->initial_parameters(parts.settings.seed), 0, parts.schedule.steps(),
        world, [](std::int64_t, const at::Tensor&, const at::Tensor&, const at::Tensor&) {});
}

void train_recorded(const RunParts& parts, const std::string& path, const Communicator& world) {
  TrajectoryWriter writer(path, parts.plan(), world);
  writer.finish(train(parts.training(), parts.game->initial_parameters(parts.settings.seed), 0,
                      parts.schedule.steps(), world,
                      [&writer](std::int64_t t, const at::Tensor& params, const at::Tensor& positions,
                                const at::Tensor& rates) { writer.record(t, params, positions, rates); }));
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

}  // namespace

void print_training_cost(const std::string& folder, std::int64_t epochs, std::int64_t pairs,
                         const std::string& engine, const Communicator& world) {
  const RunParts parts = parts_with({"--epochs", std::to_string(epochs), "--engine", engine});
  const std::string path = folder + "/trajectory.h5";
  train_bare(parts_with({"--epochs", "1", "--engine", engine}), world);  // warms up
  std::vector<double> recorded, bare, ratios;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    recorded.push_back(seconds_of(world, [&] { train_recorded(parts, path, world); }));
    world.on_root([&] { std::filesystem::remove(path); });
    bare.push_back(seconds_of(world, [&] { train_bare(parts, world); }));
    ratios.push_back(recorded.back() / bare.back());
  }
  if (!world.is_root()) return;
  const nlohmann::json result{{"steps", parts.schedule.steps()},
                              {"ranks", world.size()},
                              {"bytes", parts.plan().bytes()},
                              {"recorded", recorded},
                              {"bare", bare},
                              {"ratio", median(ratios)}};
  std::printf("%s\n", result.dump().c_str());
}

}  // namespace whence::bench
