// whence verify RUN: checks every checksum of a run folder.

#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/density/files.h"
#include "whence/io/block_store.h"
#include "whence/retrain/begun_blocks.h"
#include "whence/retrain/cleansing.h"
#include "whence/retrain/truth.h"
#include "whence/trace/estimates.h"
#include "whence/trace/trace_checkpoint.h"
#include "whence/tracin/file.h"
#include "whence/train/result_file.h"

#include "job.h"

namespace whence {
namespace {

// Checks what a job has left between two starts.
std::string verify_unfinished(const std::string& path, const Trajectory& trajectory) {
  const H5File file = H5File::open_to_read(path);
  const std::string schema = file.attribute("schema");
  for (const Schema& known : {trace_checkpoint_schema, begun_block_schema, counterfactual_blocks_schema,
                              cleansing_blocks_schema, tracin_blocks_schema}) {
    if (schema != known.name) continue;
    const H5File result = open_result(path, known, trajectory);
    if (schema == trace_checkpoint_schema.name)
      TraceCheckpoint::verify(result);
    else if (schema == begun_block_schema.name)
      BegunBlocks::verify(result);
    else
      return fmt::format("{}: whole, {}\n", path, BlockStore::verify(result));
    return path + ": whole\n";
  }
  fail("{}: holds '{}', which is no unfinished result", path, schema);
}

}  // namespace

OptionTable verify_options() {
  OptionTable table("verify");
  table.required("run", "run folder");
  return table;
}

void run_verify(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const std::string folder = options.text("run"), density_path = folder + "/density.h5";
    std::string text;
    if (std::filesystem::exists(density_path)) {
      density::verify_density(density_path);
      text += density_path + ": whole\n";
      // Densities need no training: their folder may hold nothing else.
      if (!std::filesystem::exists(folder + "/run.cfg")) return print(world, text);
    }
    const Run run(folder);
    run.trajectory().verify();
    text += fmt::format("{}: whole, {} steps\n", run.trajectory().path(), run.steps());
    const Trajectory& trajectory = run.trajectory();
    if (const std::string path = folder + "/influence.h5"; std::filesystem::exists(path)) {
      read_influence(path, trajectory);
      text += path + ": whole\n";
    }
    if (const std::string path = folder + "/counterfactual.h5"; std::filesystem::exists(path)) {
      read_counterfactual(path, trajectory);
      text += path + ": whole\n";
    }
    if (const std::string path = folder + "/cleansing.h5"; std::filesystem::exists(path)) {
      read_cleansing(path, trajectory);
      text += path + ": whole\n";
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.find(".h5.part") != std::string::npos && name.find("lock") == std::string::npos &&
          entry.path().extension() != ".new")
        text += verify_unfinished(entry.path().string(), trajectory);
      if (name.rfind("tracin", 0) != 0 || entry.path().extension() != ".h5") continue;
      verify_tracin(entry.path().string(), trajectory);
      text += entry.path().string() + ": whole\n";
    }
    print(world, text);
  });
}

}  // namespace whence
