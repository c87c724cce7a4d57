#include "given_options.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "whence/core/error.h"
#include "whence/core/text.h"

namespace whence {
namespace {

std::vector<std::string> names_of(const OptionTable& table) {
  std::vector<std::string> names;
  for (const auto& [name, form] : table.forms()) names.push_back(name);
  return names;
}

bool begins(const std::string& text, std::string_view front) {
  return std::string_view(text).substr(0, front.size()) == front;
}

bool looks_like_option(const std::string& word) {
  return begins(word, "--") && word.size() > 2 && std::isalpha(static_cast<unsigned char>(word[2])) != 0;
}

// Without dashes in front, also those that word processors put in place of "--".
std::string without_dashes(std::string word) {
  for (bool more = true; more;) {
    more = false;
    for (const std::string_view dash : {"-", "\xE2\x80\x93", "\xE2\x80\x94", "\xE2\x88\x92"})
      if (begins(word, dash)) {
        word.erase(0, dash.size());
        more = true;
      }
  }
  return word.substr(0, word.find('='));
}

[[noreturn]] void refuse_word(const OptionTable& table, const std::string& word,
                              const std::set<std::string>& given) {
  const std::string name = without_dashes(word), shown = visible(word);
  if (name != word.substr(0, word.find('=')))
    refuse("'{}': options begin with two plain dashes{}", shown, did_you_mean(name, names_of(table), "--"));
  if (table.forms().count(name) != 0) refuse("'{}': options begin with --; did you mean --{}?", shown, shown);
  for (const std::string folder : {"run", "out"})
    if (table.forms().count(folder) != 0 && given.count(folder) == 0)
      refuse("'{}': options begin with --; did you mean --{} {}?", shown, folder, shown);
  refuse("'{}': options begin with --, and this is no option's value", shown);
}

[[noreturn]] void refuse_name(const OptionTable& table, const std::string& where, const std::string& name,
                              const std::string& dashes) {
  std::string hint = did_you_mean(name, names_of(table), dashes);
  if (hint.empty()) hint = fmt::format(" (whence {} --help lists those there are)", table.job());
  refuse("{}{}{}: {} has no such option{}", where, dashes, visible(name), table.job(), hint);
}

// `what`: the option as the user wrote it, with what comes before it.
void check_value(Form form, const std::string& what, const std::string& value) {
  if (const std::string why = not_in_form(form, value); !why.empty()) refuse("{}: {}", what, why);
}

std::string whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!std::filesystem::is_regular_file(path) || !file || !(text << file.rdbuf()))
    refuse("--config: cannot read {}", visible(path));
  if (const std::string why = not_text(text.str()); !why.empty()) refuse("--config: {} {}", path, why);
  return text.str();
}

}  // namespace

std::string not_in_form(Form form, const std::string& text) {
  bool out_of_range = false;
  const std::string shown = visible(text);
  if (form == Form::whole) {
    if (whole_number(text, &out_of_range)) return "";
    return fmt::format(out_of_range ? "{} is more than 64 bits can hold" : "'{}' is not a whole number",
                       shown);
  }
  if (form == Form::real) {
    const bool number = real_number(text, &out_of_range).has_value();
    if (out_of_range) return fmt::format("{} is beyond what float64 can hold", shown);
    if (number) return "";
    const bool comma = text.find(',') != std::string::npos;
    return fmt::format("'{}' is not a number{}", shown, comma ? " (the decimal sign is a point)" : "");
  }
  static const std::set<std::string> answers{"true", "false", "yes", "no", "on", "off", "1", "0"};
  if (form == Form::flag && answers.count(text) == 0) return fmt::format("'{}' is not true or false", shown);
  return "";
}

std::vector<GivenOption> options_in_arguments(const OptionTable& table,
                                              const std::vector<std::string>& arguments) {
  std::vector<GivenOption> given;
  std::set<std::string> names;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-h") {
      given.push_back({"help", std::nullopt});
      continue;
    }
    if (!looks_like_option(word)) refuse_word(table, word, names);
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto form = table.forms().find(name);
    if (form == table.forms().end()) refuse_name(table, "", name, "--");
    if (!names.insert(name).second && form->second != Form::several) refuse("--{}: is given twice", name);
    if (form->second == Form::flag) {
      if (equals != std::string::npos) refuse("--{}: is a switch and takes no value", name);
      given.push_back({name, std::nullopt});
      continue;
    }
    std::string value;
    if (equals != std::string::npos)
      value = word.substr(equals + 1);
    else if (i + 1 == arguments.size())
      refuse("--{}: a value is missing", name);
    else if (looks_like_option(arguments[i + 1]))
      refuse(
          "--{}: a value is missing: {} is the next option (a value that begins with -- is given as "
          "--{}=VALUE)",
          name, visible(arguments[i + 1]), name);
    else
      value = arguments[++i];
    check_value(form->second, "--" + name, value);
    given.push_back({name, value});
  }
  return given;
}

std::vector<GivenOption> options_in_file(const OptionTable& table, const std::string& path) {
  const std::string bytes = whole_file(path);
  std::istringstream lines{std::string(without_mark(bytes))};
  std::vector<GivenOption> given;
  std::map<std::string, int> first;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = fmt::format("--config: {}, line {}: ", path, ++number);
    const std::string_view text = trimmed(std::string_view(line).substr(0, line.find('#')));
    if (text.empty()) continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos)
      refuse("{}'{}' is not of the form name = value", where, visible(text));
    const std::string name(trimmed(text.substr(0, equals))), value(trimmed(text.substr(equals + 1)));
    if (name == "config") refuse("--config: {} names another file, which is not read", path);
    const auto form = table.forms().find(name);
    if (form == table.forms().end()) refuse_name(table, where, name, "");
    if (!first.insert({name, number}).second && form->second != Form::several)
      refuse("{}{} is given twice, first in line {}", where, name, first[name]);
    check_value(form->second, where + name, value);
    given.push_back({name, value});
  }
  return given;
}

}  // namespace whence
