#pragma once
// What the arrays of a kind of file have to be, stated once and checked when such a file is opened.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/hdf5.h"

namespace whence {

/// Which numbers an array may hold. `finite` and the others leave out NaN and infinity.
enum class Numbers { any, finite, not_negative, positive, ascending };

/// One array of a kind of file.
struct ArrayRule {
  std::string name;
  std::vector<at::ScalarType> types;
  std::vector<std::string> shape;  ///< of each axis the size's name ("N"), or the size itself ("2")
  Numbers numbers = Numbers::any;
  /// Integers are positions: at least `least`, and below the size of this name ("": no bound).
  std::string below = {};
  std::int64_t least = 0;
  bool required = true;
};
using ArrayRules = std::vector<ArrayRule>;

/// Sizes of axes by name.
using Sizes = std::map<std::string, std::int64_t>;

/// Checks types and shapes, without reading any content: one name is one size in all arrays, and the one in
/// `known` where it is there. Returns all sizes. Error naming file and array otherwise.
Sizes check_shapes(const H5File& file, const ArrayRules& rules, Sizes known = {});

/// Checks the numbers of a (part of a) array. Error naming `path` and the array.
void check_numbers(const at::Tensor& values, const ArrayRule& rule, const Sizes& sizes,
                   const std::string& path);

/// Checks the checksums and the numbers of all arrays, piece by piece, once check_shapes() gave `sizes`.
void check_contents(const H5File& file, const ArrayRules& rules, const Sizes& sizes);

/// The rule of that name.
const ArrayRule& rule_named(const ArrayRules& rules, const std::string& name);

}  // namespace whence
