#pragma once
// Comparing the texts that say what a run or a result was made from and by.

#include <map>
#include <string>

namespace whence {

/// What a setting says without saying where files lie: the kind of a data source ("idx" of "idx:a/b,c"), the
/// number of planted instances, whether ids are listed. A place is no setting; what lies there is part of the
/// fingerprint of data, targets and queries.
std::string without_place(const std::string& name, const std::string& value);

/// A text of `name = value` lines with each value as without_place has it.
std::string settings_without_places(const std::string& settings);

/// The value of one `name = value` line of such a text; "" where there is none.
std::string setting_in(const std::string& settings, const std::string& name);

/// The text with another value of `name`, where it has such a line.
std::string with_setting(const std::string& settings, const std::string& name, const std::string& value);

/// How two texts of `name = value` lines differ, in words: "epochs is 50 there and 3 here; seed is 0 there
/// and not given here", or "" where they say the same: places are passed over, 1e-3 and 0.001 are one.
std::string settings_difference(const std::string& there, const std::string& here);

/// Whether two fingerprints of data (data/dataset.h) are of the same data. Files made before labels were part
/// of it have none, and then labels are not compared.
bool same_data(const std::string& there, const std::string& here);

/// How attribute `name` of a file differs from the one wanted, in words, or "".
std::string attribute_difference(const std::string& name, const std::string& there, const std::string& here);

}  // namespace whence
