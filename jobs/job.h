#pragma once
// What every job has in common.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/core/options.h"
#include "whence/core/progress.h"
#include "whence/io/block_store.h"
#include "whence/io/summary.h"
#include "whence/train/result_claim.h"
#include "whence/train/run.h"

namespace whence {

/// A job of the command line: `whence NAME [options]`.
struct Job {
  std::string name;
  std::string summary;
  OptionTable (*options)();
  void (*run)(const Options&, const Communicator&);
  /// For jobs that take files as plain arguments: the option they stand for.
  std::string positional;
};

const std::vector<Job>& all_jobs();

OptionTable train_job_options();
OptionTable influence_options();
OptionTable counterfactual_options();
OptionTable validate_options();
OptionTable tracin_options();
OptionTable cleanse_options();
OptionTable cleanse_table_options();
OptionTable density_options();
OptionTable show_options();
OptionTable check_options();
OptionTable info_options();
OptionTable verify_options();

void run_train(const Options& options, const Communicator& world);
void run_influence(const Options& options, const Communicator& world);
void run_counterfactual(const Options& options, const Communicator& world);
void run_validate(const Options& options, const Communicator& world);
void run_tracin(const Options& options, const Communicator& world);
void run_cleanse(const Options& options, const Communicator& world);
void run_cleanse_table(const Options& options, const Communicator& world);
void run_density(const Options& options, const Communicator& world);
void run_show(const Options& options, const Communicator& world);
void run_check(const Options& options, const Communicator& world);
void run_info(const Options& options, const Communicator& world);
void run_verify(const Options& options, const Communicator& world);

/// Adds --threads, --quiet and --dry-run.
OptionTable& add_execution_options(OptionTable& table);

/// Adds --device and --share-gpu.
OptionTable& add_device_options(OptionTable& table);

/// Adds --data, --plant and --without, for jobs on a run whose files of data were moved.
OptionTable& add_place_options(OptionTable& table);

/// What they say.
DataPlaces places_of(const Options& options);

/// Where a job computes: its ranks, joined on their devices, and this rank's device.
struct Place {
  Communicator world;
  at::Device device;
};

/// By --device and --share-gpu. Collective.
Place take_place(const Options& options, const Communicator& world);

/// Adds --nondeterministic, for jobs that take recorded steps again.
OptionTable& add_determinism_option(OptionTable& table);
/// Unless it is given, the device computes the same bits every time.
void choose_determinism(const Options& options, at::Device device);

/// Refuses, naming --data, when ranks have loaded different instances or labels. `fingerprint` is that of the
/// data. Collective.
void check_data_alike(const DataSplit& data, const std::string& fingerprint, const Communicator& world);

/// How a job claims its result, by --dry-run and --overwrite.
ClaimOptions claim_of(const Options& options, const Log& log);
/// What it does with unfinished work that was begun with other options.
Unfinished unfinished_of(const Options& options);

/// The log of rank 0, silent with --quiet; sets the threads of this rank and chooses the kernels of matrix
/// products. Collective.
Log begin_job(const Options& options, const Communicator& world);

/// --memory, given in MiB, in bytes.
std::int64_t memory_limit(const Options& options);

/// What an interrupted job says: "RUN: stopped at step 5 of 9, ...".
std::string stopped_at(const std::string& folder, const std::string& unit, std::int64_t done,
                       std::int64_t total);

/// Ends a job that was stopped with blocks left, `finished` of them done this time: closes their store,
/// records the cost and throws Interrupted. Collective.
[[noreturn]] void leave_off(BlockStore& store, std::int64_t finished, std::int64_t blocks,
                            const std::string& folder, const JobCost& cost, const Log& log,
                            const Communicator& world);

/// Prints to standard output, from rank 0.
void print(const Communicator& world, const std::string& text);

/// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace whence
