#include "whence/core/options.h"

#include <algorithm>
#include <boost/any.hpp>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/value_semantic.hpp>
#include <boost/program_options/variables_map.hpp>
#include <cmath>
#include <sstream>
#include <type_traits>

#include "whence/core/error.h"
#include "whence/core/text.h"

#include "given_options.h"

namespace po = boost::program_options;

namespace whence {
namespace {

// Shortest text that reads back as the same double, so that run.cfg replays exactly.
std::string canonical(double value) { return fmt::format("{}", value); }

std::string canonical(const boost::any& value) {
  if (const auto* text = boost::any_cast<std::string>(&value)) return *text;
  if (const auto* integer = boost::any_cast<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* given = boost::any_cast<bool>(&value)) return *given ? "yes" : "no";
  if (const auto* texts = boost::any_cast<std::vector<std::string>>(&value))
    return fmt::format("{}", fmt::join(*texts, " "));
  return canonical(boost::any_cast<double>(value));
}

// A configuration file cannot give back a text with a comment sign, a line break or blanks at its ends.
std::string replayable(const std::string& name, const std::string& text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const bool ends = !text.empty() && (blank(text.front()) || blank(text.back()));
  if (ends || text.find_first_of("#\n\r") != std::string::npos)
    refuse("--{}: '{}' has a #, a line break, or a blank at an end, which run.cfg cannot hold", name, text);
  return text;
}

template <typename T>
std::string shown(const T& value) {
  return fmt::format("{}", value);
}

template <typename T>
constexpr Form form_of() {
  if (std::is_same_v<T, std::int64_t>) return Form::whole;
  return std::is_same_v<T, double> ? Form::real : Form::text;
}

po::parsed_options as_parsed(const std::vector<GivenOption>& given,
                             const po::options_description& description) {
  po::parsed_options parsed(&description);
  for (const GivenOption& option : given)
    parsed.options.emplace_back(
        option.name, option.value ? std::vector<std::string>{*option.value} : std::vector<std::string>{});
  return parsed;
}

}  // namespace

OptionTable::OptionTable(std::string job) : job_(std::move(job)), description_("Options", 110, 60) {
  flag("help", "show this text and exit");
  add<std::string>("config", "", "read options from this file too (name = value, one a line)",
                   Kind::execution);
}

template <typename T>
OptionTable& OptionTable::add(const std::string& name, T fallback, const std::string& help, Kind kind) {
  // A help text may name the default itself, where the fallback only means that it is decided elsewhere.
  const std::string text = help.find("; default: ") == std::string::npos ? shown(fallback) : "";
  description_.add_options()(name.c_str(), po::value<T>()->default_value(std::move(fallback), text),
                             help.c_str());
  kinds_[name] = kind;
  forms_[name] = form_of<T>();
  return *this;
}

template OptionTable& OptionTable::add(const std::string&, std::string, const std::string&, Kind);
template OptionTable& OptionTable::add(const std::string&, std::int64_t, const std::string&, Kind);

template OptionTable& OptionTable::add(const std::string&, double, const std::string&, Kind);

OptionTable& OptionTable::required(const std::string& name, const std::string& help, Kind kind) {
  description_.add_options()(name.c_str(), po::value<std::string>(), (help + " (required)").c_str());
  kinds_[name] = kind;
  forms_[name] = Form::text;
  required_.push_back(name);
  return *this;
}

OptionTable& OptionTable::repeated(const std::string& name, const std::string& help) {
  description_.add_options()(name.c_str(), po::value<std::vector<std::string>>()->composing(), help.c_str());
  kinds_[name] = Kind::execution;
  forms_[name] = Form::several;
  return *this;
}

OptionTable& OptionTable::flag(const std::string& name, const std::string& help) {
  description_.add_options()(name.c_str(), po::bool_switch(), help.c_str());
  kinds_[name] = Kind::execution;
  forms_[name] = Form::flag;
  return *this;
}

std::string OptionTable::help() const {
  std::ostringstream out;
  out << description_;
  return out.str();
}

Options::Options(const OptionTable& table, const std::vector<std::string>& arguments)
    : job_(table.job()), kinds_(table.kinds_) {
  try {
    po::store(as_parsed(options_in_arguments(table, arguments), table.description_), values_);
    if (const std::string path = text("config"); !path.empty())
      po::store(as_parsed(options_in_file(table, path), table.description_), values_);
  } catch (const po::error& error) {
    throw UsageError(error.what());
  }
  if (flag("help")) return;
  for (const std::string& name : table.required_)
    if (values_.count(name) == 0)
      refuse("the option '--{}' is required", name);
    else if (text(name).empty())
      refuse("--{}: is empty", name);
}

std::string Options::text(const std::string& name) const { return values_.at(name).as<std::string>(); }
std::int64_t Options::integer(const std::string& name) const { return values_.at(name).as<std::int64_t>(); }

double Options::real(const std::string& name) const { return values_.at(name).as<double>(); }
bool Options::flag(const std::string& name) const { return values_.at(name).as<bool>(); }

std::int64_t Options::integer(const std::string& name, std::int64_t least) const {
  const std::int64_t value = integer(name);
  if (value < least) refuse("--{} is {}, but must be at least {}", name, value, least);
  return value;
}

std::uint64_t Options::seed(const std::string& name) const {
  return static_cast<std::uint64_t>(integer(name, 0));
}

double Options::real(const std::string& name, double least, bool open) const {
  const double value = real(name);
  if (!std::isfinite(value) || value < least || (open && value == least))
    refuse("--{} is {}, but must be finite and {} {}", name, value, open ? "greater than" : "at least",
           least);
  return value;
}

std::vector<std::string> Options::texts(const std::string& name) const {
  return values_.count(name) != 0 ? values_.at(name).as<std::vector<std::string>>()
                                  : std::vector<std::string>{};
}

bool Options::given(const std::string& name) const {
  return values_.count(name) != 0 && !values_.at(name).defaulted();
}

std::string Options::settings() const {
  std::string text;
  for (const auto& [name, kind] : kinds_)
    if (kind == Kind::setting)
      text += name + " = " + replayable(name, canonical(values_.at(name).value())) + "\n";
  return text;
}

std::vector<std::pair<std::string, std::string>> Options::values(const std::set<std::string>& except) const {
  std::vector<std::pair<std::string, std::string>> list;
  for (const auto& [name, kind] : kinds_)
    if (except.count(name) == 0 && values_.count(name) != 0)
      list.emplace_back(name, canonical(values_.at(name).value()));
  return list;
}

std::string join_list(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ","));
}

std::vector<std::string> split_list(const std::string& option, const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text + ",");
  for (std::string part; std::getline(in, part, ',');) {
    if (part.empty()) refuse("--{}: '{}' has an empty element", option, text);
    parts.push_back(part);
  }
  return parts;
}

void refuse_value(const std::string& option, const std::string& value,
                  const std::vector<std::string>& known) {
  std::string list = known.front();
  for (std::size_t i = 1; i < known.size(); ++i) list += (i + 1 == known.size() ? " or " : ", ") + known[i];
  refuse("--{}: '{}' is not {}{}", option, visible(value), list, did_you_mean(value, known));
}

std::vector<std::int64_t> integer_list(const std::string& option, const std::string& text) {
  std::vector<std::int64_t> list;
  for (const std::string& part : split_list(option, text)) {
    const std::string number(trimmed(part));
    if (const std::string why = not_in_form(Form::whole, number); !why.empty())
      refuse("--{}: {}", option, why);
    const std::int64_t value = *whole_number(number);
    if (value < 1) refuse("--{}: {} is not a positive whole number", option, part);
    list.push_back(value);
  }
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::vector<double> real_list(const std::string& option, const std::string& text) {
  std::vector<double> list;
  for (const std::string& part : split_list(option, text)) {
    const std::string number(trimmed(part));
    if (const std::string why = not_in_form(Form::real, number); !why.empty())
      refuse("--{}: {}", option, why);
    const double value = *real_number(number);
    if (!std::isfinite(value) || value < 0)
      refuse("--{}: {} is not a finite number of at least 0", option, part);
    if (std::find(list.begin(), list.end(), value) != list.end())
      refuse("--{}: {} is there twice", option, part);
    list.push_back(value);
  }
  return list;
}

}  // namespace whence
