#include "job.h"

#include <cstdio>
#include <fmt/format.h>

#include "whence/comm/agreement.h"
#include "whence/comm/session.h"
#include "whence/core/error.h"
#include "whence/core/matrix_kernels.h"
#include "whence/core/printable.h"
#include "whence/core/stop.h"
#include "whence/device/devices.h"
#include "whence/io/checksum.h"

#include "data_start.h"

namespace whence {
namespace {

// Numbers of ranks whose products have other rounding than rank 0's, on rank 0.
std::vector<std::size_t> ranks_with_other_kernels(const Communicator& world) {
  const auto all = world.gather({std::hash<std::string>()(matrix_kernels_in_use())});
  std::vector<std::size_t> others;
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] != all[0]) others.push_back(rank);
  return others;
}

void choose_kernels(Log& log, const Communicator& world) {
  MatrixKernels kernels;
  world.on_every_rank([&] { kernels = choose_matrix_kernels(log.speaking()); });
  if (const std::string text = in_words(kernels); !text.empty()) log.say_at_work(text);
  if (const auto others = ranks_with_other_kernels(world); !others.empty())
    log.say_at_work(fmt::format(
        "matrix products: rank{} {} use other kernels than rank 0 ({}), so numbers may differ in the "
        "last bits from those of another number of ranks",
        others.size() == 1 ? "" : "s", fmt::join(others, ", "), matrix_kernels_in_use()));
}

}  // namespace

OptionTable& add_execution_options(OptionTable& table) {
  return table.add<std::int64_t>("threads", 1, "threads a rank", Kind::execution)
      .flag("quiet", "no progress on standard error")
      .flag("dry-run", "say what the job would need, and stop");
}

OptionTable& add_device_options(OptionTable& table) {
  return table
      .add<std::string>("device", "cpu", "where to compute: cpu, or cuda (one GPU a rank)", Kind::execution)
      .flag("share-gpu", "several ranks may share a GPU, and communicate through host memory")
      .add<std::int64_t>("device-memory", 8192,
                         "MiB: instances that take no more as numbers are kept on the GPU; others are sent "
                         "there as they are needed",
                         Kind::execution);
}

OptionTable& add_place_options(OptionTable& table) {
  return add_access_options(table)
      .add<std::string>("data", "",
                        "where the run's data lie now, as for whence train; default: where they were, or the "
                        "same place beside or above the run folder",
                        Kind::execution)
      .add<std::string>("plant", "", "where --plant's file lies now, SOURCE:NUMBER", Kind::execution)
      .add<std::string>("without", "", "where --without's file lies now", Kind::execution)
      .add<std::string>("game", "", "where the run's exported model lies now, script:FILE", Kind::execution);
}

DataPlaces places_of(const Options& options) {
  return {options.text("data"), options.text("plant"), options.text("without"), options.text("game"),
          access_of(options)};
}

Place take_place(const Options& options, const Communicator& world) {
  Place place{world, at::kCPU};
  place.device = join_devices(options.text("device"), options.flag("share-gpu"), place.world);
  return place;
}

OptionTable& add_determinism_option(OptionTable& table) {
  return table.flag("nondeterministic",
                    "on a GPU: also use algorithms whose results differ in the last bits from run to run");
}

void choose_determinism(const Options& options, at::Device device) {
  if (!options.flag("nondeterministic")) use_deterministic_algorithms(device);
}

void check_data_alike(const DataSplit& data, const std::string& fingerprint, const Communicator& world) {
  std::string labels;
  for (const Dataset* set : {&data.train, &data.held_out, &data.test})
    labels += set->labels.defined() ? fmt::format(" {:08x}", crc32_of(set->labels.contiguous())) : " none";
  check_alike({{"--data", fingerprint}, {"--data's labels", "crc32 =" + labels}}, world);
}

ClaimOptions claim_of(const Options& options, const Log& log) {
  return {options.flag("overwrite"), options.flag("dry-run"),
          [&log](const std::string& text) { log.say(text); }};
}

Unfinished unfinished_of(const Options& options) {
  return options.flag("overwrite") ? Unfinished::replace : Unfinished::keep;
}

Log begin_job(const Options& options, const Communicator& world) {
  Log log(world.is_root() && !options.flag("quiet"));
  choose_kernels(log, world);
  world.on_every_rank([&] { Session::use_threads(static_cast<int>(options.integer("threads", 1))); });
  return log;
}

std::int64_t memory_limit(const Options& options) {
  constexpr std::int64_t most = 1 << 30;  // MiB that no machine has: bytes counted from it fit into a number
  const std::int64_t mebibytes = options.integer("memory", 1);
  if (mebibytes > most) refuse("--memory is {}, but must be at most {}", mebibytes, most);
  return mebibytes << 20;
}

std::string stopped_at(const std::string& folder, const std::string& unit, std::int64_t done,
                       std::int64_t total) {
  return fmt::format(
      "{}: stopped by a signal at {} {} of {}; what is done is saved, and the same command goes on", folder,
      unit, done, total);
}

void leave_off(BlockStore& store, std::int64_t finished, std::int64_t blocks, const std::string& folder,
               const JobCost& cost, const Log& log, const Communicator& world) {
  const std::int64_t done = store.finished_count() + finished;
  store.close();
  log.say(record_cost(folder, cost, world));
  throw Interrupted(stopped_at(folder, "block", done, blocks));
}

void print(const Communicator& world, const std::string& text) {
  if (!world.is_root()) return;
  std::fputs(printable(text).c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace whence
