#include "whence/io/array_rules.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <optional>

#include "whence/core/error.h"

namespace whence {
namespace {

std::string words(const std::vector<at::ScalarType>& types) {
  std::vector<std::string> names;
  for (const at::ScalarType type : types)
    names.emplace_back(type == at::kFloat    ? "float32"
                       : type == at::kDouble ? "float64"
                       : type == at::kLong   ? "int64"
                                             : "int32");
  return fmt::format("{}", fmt::join(names, " or "));
}

// "[T=5, 2]": sizes that are known already stand beside their names.
std::string words(const std::vector<std::string>& shape, const Sizes& sizes) {
  std::vector<std::string> axes;
  for (const std::string& name : shape) {
    const auto found = sizes.find(name);
    axes.push_back(found == sizes.end() ? name : fmt::format("{}={}", name, found->second));
  }
  return fmt::format("[{}]", fmt::join(axes, ", "));
}

// Whether the size may stand there; an unknown name takes it.
bool fits(const std::string& name, std::int64_t size, Sizes& sizes) {
  if (std::isdigit(static_cast<unsigned char>(name.front())) != 0) return size == std::stoll(name);
  return sizes.emplace(name, size).first->second == size;
}

bool fits(const Shape& shape, const ArrayRule& rule, Sizes& sizes) {
  if (shape.size() != rule.shape.size()) return false;
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    if (!fits(rule.shape[axis], shape[axis], sizes)) return false;
  return true;
}

template <typename T>
bool allowed(T value, Numbers numbers) {
  if (numbers == Numbers::any) return true;
  if (!std::isfinite(static_cast<double>(value))) return false;
  return numbers == Numbers::not_negative ? value >= 0 : numbers != Numbers::positive || value > 0;
}

template <typename T>
void check_each(const at::Tensor& values, const ArrayRule& rule, const std::string& path) {
  if (rule.numbers == Numbers::any) return;
  const T* value = values.data_ptr<T>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    if (!allowed(value[i], rule.numbers))
      fail("{}: {} holds {}, which is not a {} number; the file is damaged", path, rule.name, value[i],
           rule.numbers == Numbers::not_negative ? "finite and not negative"
           : rule.numbers == Numbers::positive   ? "positive"
                                                 : "finite");
    if (rule.numbers == Numbers::ascending && i > 0 && value[i] <= value[i - 1])
      fail("{}: {} holds {} after {}, but ascends; the file is damaged", path, rule.name, value[i],
           value[i - 1]);
  }
}

}  // namespace

const ArrayRule& rule_named(const ArrayRules& rules, const std::string& name) {
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const auto& r) { return r.name == name; });
  TORCH_CHECK(found != rules.end(), "no rule for the array ", name);
  return *found;
}

Sizes check_shapes(const H5File& file, const ArrayRules& rules, Sizes known) {
  for (const ArrayRule& rule : rules) {
    if (!rule.required && !file.has(rule.name)) continue;
    const H5Array array = file.array(rule.name);
    const Sizes before = known;
    const bool right_type = std::count(rule.types.begin(), rule.types.end(), array.dtype()) > 0;
    if (!right_type || !fits(array.shape(), rule, known))
      fail("{}: {} is {} [{}], not {} {}; the file is damaged", file.path(), rule.name,
           words({array.dtype()}), fmt::join(array.shape(), ", "), words(rule.types),
           words(rule.shape, before));
  }
  return known;
}

void check_numbers(const at::Tensor& values, const ArrayRule& rule, const Sizes& sizes,
                   const std::string& path) {
  if (values.scalar_type() == at::kFloat) return check_each<float>(values, rule, path);
  if (values.scalar_type() == at::kDouble) return check_each<double>(values, rule, path);
  if (values.scalar_type() != at::kLong) return;
  check_each<std::int64_t>(values, rule, path);
  if (rule.below.empty()) return;
  const std::int64_t end = sizes.at(rule.below);
  const std::int64_t* value = values.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < values.numel(); ++i)
    if (value[i] < rule.least || value[i] >= end)
      fail("{}: {} holds {}, which is not between {} and {}; the file is damaged", path, rule.name, value[i],
           rule.least, end - 1);
}

void check_contents(const H5File& file, const ArrayRules& rules, const Sizes& sizes) {
  for (const ArrayRule& rule : rules) {
    if (!rule.required && !file.has(rule.name)) continue;
    // What a wrong checksum explains is not also called a wrong number.
    std::optional<Error> complaint;
    file.array(rule.name).verify([&](const at::Tensor& piece) {
      if (complaint) return;
      try {
        check_numbers(piece, rule, sizes, file.path());
      } catch (const Error& error) {
        complaint = error;
      }
    });
    if (complaint) throw *complaint;
  }
}

}  // namespace whence
