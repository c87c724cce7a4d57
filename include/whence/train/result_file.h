#pragma once
// What ties a result file to its run.

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"
#include "whence/train/run.h"

namespace whence {

/// Attributes that tie a result to its run and to the options that made it.
Attributes result_attributes(const Run& run, const std::string& settings,
                             const std::vector<std::string>& metrics);

/// Opens a result of the run; Error when missing, damaged, of another schema version, or made from another
/// run than the trajectory's.
H5File open_result(const std::string& path, const Schema& schema, const Trajectory& trajectory);

/// The names in a text attribute, comma between; Error naming the file when there is none, or when one has
/// other characters than letters, digits and "-+.:_".
std::vector<std::string> names_in(const H5File& file, const std::string& attribute);

/// Checks shapes, checksums and numbers of a result's arrays, and that its instance_id, where there is one,
/// are the run's (N). Error naming the file.
Sizes check_result(const H5File& file, const ArrayRules& rules, const Trajectory& trajectory,
                   Sizes known = {});

/// "none" where the file was made without it.
std::string attribute_or_none(const H5File& file, const std::string& name);

/// Whether `path` already holds the result these attributes ask for; Error when it holds another one.
bool already_there(const std::string& path, const Schema& schema, const Attributes& attributes);

}  // namespace whence
