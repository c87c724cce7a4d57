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
/// run than `run_fingerprint`.
H5File open_result(const std::string& path, const Schema& schema, const std::string& run_fingerprint);

/// "none" where the file was made without it.
std::string attribute_or_none(const H5File& file, const std::string& name);

/// Whether `path` already holds the result these attributes ask for; Error when it holds another one.
bool already_there(const std::string& path, const Schema& schema, const Attributes& attributes);

}  // namespace whence
