#pragma once
// A job's options: described once, parsed from the command line and from a file, replayable as text.

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace whence {

/// Whether an option is part of what a result is (and so of run.cfg and of every file's provenance) or only
/// of how the job is carried out (threads, progress, folders).
enum class Kind { setting, execution };

/// What an option is given as.
enum class Form { text, whole, real, several, flag };

/// Describes the options of one job. Values are checked when parsed.
class OptionTable {
 public:
  explicit OptionTable(std::string job);

  /// An option with a default. T: std::string, std::int64_t or double.
  template <typename T>
  OptionTable& add(const std::string& name, T fallback, const std::string& help, Kind kind = Kind::setting);
  /// An option that must be given.
  OptionTable& required(const std::string& name, const std::string& help, Kind kind = Kind::execution);
  /// An option that may be given several times.
  OptionTable& repeated(const std::string& name, const std::string& help);
  /// A switch, off by default; never part of the settings.
  OptionTable& flag(const std::string& name, const std::string& help);

  const std::string& job() const { return job_; }
  /// Every option's name and form.
  const std::map<std::string, Form>& forms() const { return forms_; }
  /// The text of `whence JOB --help`.
  std::string help() const;

 private:
  friend class Options;
  std::string job_;
  boost::program_options::options_description description_;
  std::map<std::string, Kind> kinds_;
  std::map<std::string, Form> forms_;
  std::vector<std::string> required_;
};

/// Parsed options: a const object that is passed down.
class Options {
 public:
  /// Parses `arguments` (without program and job name); with --config FILE also that file, whose values yield
  /// to the command line's. Throws UsageError naming the option (and the file and its line) when one is
  /// unknown, missing, repeated, without its value or malformed, or when an argument is no option.
  Options(const OptionTable& table, const std::vector<std::string>& arguments);

  std::string text(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  /// An integer of at least `least`; UsageError naming the option otherwise.
  std::int64_t integer(const std::string& name, std::int64_t least) const;
  /// A seed, 0 or more.
  std::uint64_t seed(const std::string& name) const;
  double real(const std::string& name) const;
  /// A finite number of at least `least` (greater than it if `open`); UsageError naming the option otherwise.
  double real(const std::string& name, double least, bool open = false) const;
  bool flag(const std::string& name) const;
  std::vector<std::string> texts(const std::string& name) const;
  /// Whether the user gave it, in place of its default.
  bool given(const std::string& name) const;

  /// Every option, of whatever kind, by name with its value as text, sorted by name; but not those in
  /// `except`, and none that has no value.
  std::vector<std::pair<std::string, std::string>> values(const std::set<std::string>& except) const;

  /// All settings as `name = value` lines, sorted by name: the text of run.cfg, readable by --config.
  /// UsageError naming the option when a text could not be read back.
  std::string settings() const;

 private:
  std::string job_;
  boost::program_options::variables_map values_;
  std::map<std::string, Kind> kinds_;
};

/// Splits "1,5,10"; throws UsageError naming `option` on an empty element.
std::vector<std::string> split_list(const std::string& option, const std::string& text);
/// "1,5,10" from its parts.
std::string join_list(const std::vector<std::string>& parts);
/// UsageError naming `option` and the nearest of the `known` values: "--game: 'gan' is not ...; did you mean
/// fcgan or dcgan?".
[[noreturn]] void refuse_value(const std::string& option, const std::string& value,
                               const std::vector<std::string>& known);
/// Positive integers from "1,5,10", sorted, without repetition.
std::vector<std::int64_t> integer_list(const std::string& option, const std::string& text);
/// Different finite numbers of at least 0 from "0,1e-3", in the order given.
std::vector<double> real_list(const std::string& option, const std::string& text);

}  // namespace whence
