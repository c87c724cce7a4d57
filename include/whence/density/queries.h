#pragma once
// Which points the influences are asked for.

#include <cstdint>
#include <string>

#include "whence/data/dataset.h"
#include "whence/density/influence.h"

namespace whence::density {

/// What `--queries` says: auto (all instances where there are at most 1,000, else 128), all, a number of
/// instances chosen at random, held-out:NUMBER, or ids:ID,ID,... of instances.
struct QueryChoice {
  enum class Kind { automatic, all, number, held_out, ids } kind = Kind::automatic;
  std::int64_t number = 0;        ///< of number and held_out
  std::vector<std::int64_t> ids;  ///< in the order given

  /// Held-out points that the data has to have.
  std::int64_t held_out() const { return kind == Kind::held_out ? number : 0; }
};

/// UsageError naming --queries where the text is none of these.
QueryChoice parse_queries(const std::string& text);

/// The queries themselves. The random choice depends on `seed` and the number of instances alone. UsageError
/// naming --queries where there are more than instances, or an id is no instance's or is there twice.
Queries choose_queries(const QueryChoice& choice, const DataSplit& data, std::uint64_t seed);

}  // namespace whence::density
