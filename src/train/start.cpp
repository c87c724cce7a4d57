#include "whence/train/start.h"

#include <algorithm>
#include <filesystem>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/data/places.h"
#include "whence/game/parameter_file.h"
#include "whence/io/checksum.h"
#include "whence/optimise/optimiser.h"
#include "whence/train/run.h"
#include "whence/train/trajectory/reader.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

struct Place {
  std::string path, part;  // what stands after the last colon, where the whole is no file or folder
};

Place place_of(const std::string& from) {
  std::error_code ignored;
  const std::size_t colon = from.rfind(':');
  if (fs::exists(from, ignored) || colon == std::string::npos) return {from, ""};
  return {from.substr(0, colon), from.substr(colon + 1)};
}

at::Tensor from_run(const Place& place, const Game& game) {
  const Trajectory trajectory(place.path + "/trajectory.h5");
  if (trajectory.attribute("layout") != game.layout().json())
    refuse("--from: {} was trained with other networks", place.path);
  std::int64_t step = trajectory.steps();
  if (!place.part.empty()) {
    const auto given = whole_number(place.part);
    if (!given) refuse("--from: '{}' is not a step of {}", visible(place.part), place.path);
    step = *given;
  }
  const auto& recorded = trajectory.recorded();
  if (std::find(recorded.begin(), recorded.end(), step) == recorded.end())
    refuse("--from: step {} of {} is not recorded", step, place.path);
  // Its model, as its metrics look at it: with --average that is not theta.
  const auto optimiser = make_optimiser(settings_in(place.path).optimiser);
  if (trajectory.parameters() != optimiser->state_size(game.layout().size()))
    refuse("--from: {} holds other states than its run.cfg says", place.path);
  return optimiser->model(trajectory.params(step)).to(game.dtype()).contiguous();
}

}  // namespace

std::string absolute_start(const std::string& from) {
  if (from.empty()) return from;
  const Place place = place_of(from);
  return absolute_file(place.path) + (place.part.empty() ? "" : ":" + place.part);
}

at::Tensor start_of(const RunSettings& settings, const Game& game, Attributes& attributes) {
  if (settings.from.empty()) return game.initial_parameters(settings.seed);
  const at::Tensor theta = start_parameters(settings.from, game);
  attributes["from"] = fmt::format("crc32 {:08x}", crc32_of(theta));
  return theta;
}

at::Tensor start_parameters(const std::string& from, const Game& game) {
  const Place place = place_of(from);
  std::error_code ignored;
  if (fs::is_directory(place.path, ignored)) return from_run(place, game);
  if (fs::exists(place.path, ignored))
    return parameters_in_file(place.path, place.part, game.layout(), game.dtype());
  refuse("--from: {}: no such run folder or file", place.path);
}

}  // namespace whence
