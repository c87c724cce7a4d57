#pragma once
// The files of a run folder: which job makes each, and what jobs share that only look at them.

#include <filesystem>
#include <string>
#include <vector>

#include "job.h"

namespace whence {

/// A file that a job adds to a run folder.
struct RunFile {
  std::string name, job, words;
};

/// All of them, in the order they are made; TracIn's under its plain name.
const std::vector<RunFile>& run_files();

/// FOLDER/NAME; Error when it is not there, naming the job that makes it or that has begun to.
std::string needed_file(const std::string& folder, const std::string& name);

/// --out, or NAME in the folder of a single run, or in the parent folder of several.
std::filesystem::path place_of_result(const Options& options, const std::vector<std::string>& folders,
                                      const std::string& name);

/// Adds --quiet and --dry-run, with one meaning in all jobs that only look at files.
OptionTable& add_reading_options(OptionTable& table);

/// Prints to standard output, from rank 0 and not with --quiet.
void tell(const Options& options, const Communicator& world, const std::string& text);

/// With --dry-run: tells which files would be read, and written, and returns true.
bool told_dry_run(const Options& options, const Communicator& world, const std::vector<std::string>& read,
                  const std::vector<std::string>& written);

/// A number with so many significant digits: "0.01230", "1.230e-09".
std::string significant(double value, int digits);

}  // namespace whence
