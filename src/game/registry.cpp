#include "whence/game/registry.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <sstream>

#include "whence/core/error.h"
#include "whence/game/defaults.h"

namespace whence {

// Each game's NAME_kind() stands beside its class.
#define WHENCE_GAME(name) GameKind name##_kind();
#include "registered_games.inc"
#undef WHENCE_GAME

namespace {

const std::string left_to_preset = "preset";

// 1e-3 and 0.001 are one setting: numbers that could be written in several ways are written in the shortest.
std::string canonical(const std::string& text) {
  if (text.find_first_of(".eE") == std::string::npos) return text;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return *end == '\0' && std::isfinite(value) ? fmt::format("{}", value) : text;
}

template <typename List, typename NameOf>
std::string names(const List& list, const NameOf& name_of) {
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : ", ") + name_of(item);
  return text;
}

// What some games have and this one has not: an option there must be left alone.
void refuse_foreign_options(const GameKind& kind, const Options& options) {
  for (const GameKind& other : game_kinds())
    for (const GameOption& option : other.options)
      if (!kind.has(option.name) && options.text(option.name) != left_to_preset)
        refuse("--{}: the game {} has no such option", option.name, kind.name);
}

// What they are with every game that says nothing else.
const PresetValues of_every_game{{"optimiser", "sgd"}, {"test", "0"}, {"train-on", "instances"}};

const std::string not_there = "none";

// What an optimiser's options are where the user left them: PyTorch's values (momentum, which is 0 there, at
// the value its documentation shows), `none` for options that it has not got.
PresetValues values_of_optimiser(const std::string& name) {
  PresetValues values;
  if (name == "momentum") values = {{"momentum", "0.9"}, {"nesterov", "false"}};
  if (name == "adam" || name == "adamw")
    values = {{"beta1", "0.9"}, {"beta2", "0.999"}, {"epsilon", "1e-8"}, {"epsilon-root", "0"}};
  if (name == "rmsprop")
    values = {{"beta2", "0.99"}, {"epsilon", "1e-8"}, {"epsilon-root", "0"}, {"momentum", "0"}};
  for (const char* option : {"momentum", "nesterov", "beta1", "beta2", "epsilon", "epsilon-root"})
    values.insert({option, not_there});
  values.insert({"weight-decay", name == "adamw" ? "0.01" : "0"});
  return values;
}

void refuse_options_of_other_optimisers(const std::string& name, const PresetValues& own,
                                        const Options& options) {
  for (const auto& [option, value] : own) {
    const std::string text = options.text(option);
    if (value == not_there && text != left_to_preset && text != not_there)
      refuse("--{}: the optimiser {} has no such option", option, name);
  }
}

// A game's value of an option, by its presets: "32,32, or 32 with --preset paper"; "" where it has none.
std::string value_of_game(const GameKind& kind, const std::string& option) {
  const auto value = [&](const PresetValues& preset) -> std::string {
    for (const PresetValues* values : {&preset, &of_every_game})
      if (const auto found = values->find(option); found != values->end()) return found->second;
    return "";
  };
  const auto first = kind.presets.find("published");
  const std::string usual = value((first == kind.presets.end() ? kind.presets.begin() : first)->second);
  std::string text = usual;
  for (const auto& [name, preset] : kind.presets)
    if (value(preset) != usual) text += fmt::format(", or {} with --preset {}", value(preset), name);
  return text;
}

// Values and whose they are: "10 (fcgan); 64 (mlp-vae, conv-vae)"; the value alone where it is everybody's.
std::string in_words(const std::vector<std::pair<std::string, std::string>>& value_and_owner) {
  std::vector<std::pair<std::string, std::vector<std::string>>> owners;
  for (const auto& [value, owner] : value_and_owner) {
    auto found = std::find_if(owners.begin(), owners.end(),
                              [value = &value](const auto& one) { return one.first == *value; });
    if (found == owners.end()) found = owners.insert(owners.end(), {value, {}});
    found->second.push_back(owner);
  }
  if (owners.size() == 1) return owners.front().first;
  std::string text;
  for (const auto& [value, names] : owners)
    text += fmt::format("{}{} ({})", text.empty() ? "" : "; ", value, fmt::join(names, ", "));
  return text;
}

}  // namespace

std::string default_in_words(const std::string& option, const std::vector<std::string>& optimisers) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const GameKind& kind : game_kinds())
    if (const std::string value = value_of_game(kind, option); !value.empty())
      values.emplace_back(value, kind.name);
  if (values.empty())
    for (const std::string& name : optimisers) {
      const PresetValues own = values_of_optimiser(name);
      const auto found = own.find(option);
      if (found != own.end() && found->second != not_there) values.emplace_back(found->second, name);
    }
  return values.empty() ? "has to be given" : in_words(values);
}

std::string ChosenOptions::text(const std::string& name) const {
  const std::string text = options_.text(name);
  if (text != left_to_preset) return text;
  const auto found = preset_.find(name);
  if (found == preset_.end()) refuse("--{}: the preset has no value for it, so it must be given", name);
  return found->second;
}

std::int64_t ChosenOptions::integer(const std::string& name, std::int64_t least) const {
  const std::string value = text(name);
  if (value == "0" && least <= 0) return 0;
  const auto list = integer_list(name, value);
  if (list.size() != 1) refuse("--{}: '{}' is not one number", name, value);
  if (list.front() < least) refuse("--{} is {}, but must be at least {}", name, list.front(), least);
  return list.front();
}

double ChosenOptions::real(const std::string& name, bool positive) const {
  const auto list = reals(name, positive);
  if (list.size() != 1) refuse("--{}: '{}' is not one number", name, text(name));
  return list.front();
}

std::vector<double> ChosenOptions::reals(const std::string& name, bool positive) const {
  std::vector<double> list;
  for (const std::string& part : split_list(name, text(name))) {  // real_list wants different ones
    list.push_back(real_list(name, part).front());
    if (positive && list.back() == 0) refuse("--{} is 0, but must be finite and greater than 0", name);
    if (dtype() == at::kFloat && list.back() > std::numeric_limits<float>::max())
      refuse("--{}: {} is more than float32 can hold", name, list.back());
  }
  return list;
}

std::vector<std::int64_t> ChosenOptions::widths(const std::string& name) const {
  std::vector<std::int64_t> list;
  for (const std::string& part : split_list(name, text(name)))  // integer_list would sort them
    list.push_back(integer_list(name, part).front());
  return list;
}

bool ChosenOptions::yes_or_no(const std::string& name) const {
  const std::string value = text(name);
  if (value != "true" && value != "false") refuse_value(name, value, {"true", "false"});
  return value == "true";
}

at::ScalarType ChosenOptions::dtype() const {
  const std::string name = text("dtype");
  if (name == "float64") return at::kDouble;
  if (name == "float32") return at::kFloat;
  refuse_value("dtype", name, {"float32", "float64"});
}

std::string ChosenOptions::settings() const {
  std::istringstream lines(options_.settings());
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find(" = ");
    const std::string name = line.substr(0, equals), value = line.substr(equals + 3);
    const auto decided = preset_.find(name);
    const bool fill_in = value == left_to_preset && decided != preset_.end();
    text += name + " = " + canonical(fill_in ? decided->second : value) + "\n";
  }
  return text;
}

std::int64_t InstanceKind::width() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

bool GameKind::has(const std::string& option) const {
  return std::any_of(options.begin(), options.end(),
                     [&](const GameOption& one) { return one.name == option; });
}

const std::vector<GameKind>& game_kinds() {
  static const std::vector<GameKind> kinds{
#define WHENCE_GAME(name) name##_kind(),
#include "registered_games.inc"
#undef WHENCE_GAME
  };
  return kinds;
}

std::string file_of_game(const std::string& game) {
  const std::size_t colon = game.find(':');
  return colon == std::string::npos ? "" : game.substr(colon + 1);
}

const GameKind& game_kind(const std::string& name) {
  for (const GameKind& kind : game_kinds()) {
    if (kind.name == name) return kind;
    if (kind.from_file && name.rfind(kind.name + ":", 0) == 0) return kind;
  }
  std::vector<std::string> known;
  for (const GameKind& kind : game_kinds()) known.push_back(kind.name);
  refuse_value("game", name, known);
}

ChosenOptions choose_options(const Options& options) {
  const std::string game = options.text("game");
  const GameKind& kind = game_kind(game);
  refuse_foreign_options(kind, options);
  const auto preset = kind.presets.find(options.text("preset"));
  if (preset == kind.presets.end())
    refuse("--preset: '{}' is not a preset of {}; there are {}", options.text("preset"), kind.name,
           names(kind.presets, [](const auto& item) { return item.first; }));
  PresetValues values = preset->second;
  values.insert(of_every_game.begin(), of_every_game.end());
  const std::string optimiser = ChosenOptions(options, values).text("optimiser");
  const PresetValues of_optimiser = values_of_optimiser(optimiser);
  refuse_options_of_other_optimisers(optimiser, of_optimiser, options);
  values.insert(of_optimiser.begin(), of_optimiser.end());
  const std::string file = file_of_game(game);
  if (kind.from_file && file.empty())
    refuse("--game: {} needs the file of a model, {}:FILE", kind.name, kind.name);
  return {options, values, file};
}

}  // namespace whence
