// whence JOB [options]: finds the job, reads its options, runs it on all ranks.

#include <cstdio>
#include <fmt/format.h>

#include "whence/comm/session.h"
#include "whence/core/error.h"
#include "whence/core/provenance.h"

#include "job.h"

namespace whence {
namespace {

std::string overview() {
  std::string text =
      "whence: which training instances made a generative model what it is, and what it would be without "
      "them\n\n"
      "Usage: [mpirun -n RANKS] whence JOB [options]       whence JOB --help lists a job's "
      "options\n\nJobs:\n";
  for (const Job& job : all_jobs()) text += fmt::format("  {:<15} {}\n", job.name, job.summary);
  return text + fmt::format("\nVersion {} ({})\n", version(), git_sha());
}

const Job& job_named(const std::string& name) {
  for (const Job& job : all_jobs())
    if (job.name == name) return job;
  if (name == "cleansing") refuse("this job is now called cleanse-table (whence cleanse-table --run RUN)");
  refuse("no such job (whence --help lists them)");
}

// `whence info FILE` is `whence info --file FILE`.
std::vector<std::string> with_names(const Job& job, std::vector<std::string> arguments) {
  if (!job.positional.empty() && !arguments.empty() && arguments.front().rfind("-", 0) != 0)
    arguments.insert(arguments.begin(), "--" + job.positional);
  return arguments;
}

void run_job(const std::string& name, const std::vector<std::string>& arguments, const Communicator& world) {
  world.together([&] { job_named(name); });
  const Job& job = job_named(name);
  const OptionTable table = job.options();
  std::unique_ptr<Options> options;
  world.together([&] { options = std::make_unique<Options>(table, with_names(job, arguments)); });
  if (options->flag("help"))
    print(world, fmt::format("whence {}: {}\n\n{}", job.name, job.summary, table.help()));
  else
    job.run(*options, world);
}

}  // namespace

const std::vector<Job>& all_jobs() {
  static const std::vector<Job> jobs{
      {"train", "train a game and record its trajectory", train_job_options, run_train, ""},
      {"influence", "estimate every training instance's influence by tracing back", influence_options,
       run_influence, ""},
      {"counterfactual", "retrain without instances: the ground truth", counterfactual_options,
       run_counterfactual, ""},
      {"validate", "compare estimates with the ground truth, over one or several runs", validate_options,
       run_validate, ""},
      {"tracin", "VAE-TracIn scores of every training instance, from checkpoints", tracin_options, run_tracin,
       ""},
      {"cleanse", "retrain without the most harmful instances of several selections, and test",
       cleanse_options, run_cleanse, ""},
      {"cleanse-table", "what cleansing did to the test metrics, over one or several runs",
       cleanse_table_options, run_cleanse_table, ""},
      {"density", "influence of instances in k-NN, kernel and mixture densities: formulas and exactly",
       density_options, run_density, ""},
      {"info", "say in words what a run folder or a file holds", info_options, run_info, "file"},
      {"verify", "check every checksum of a run folder", verify_options, run_verify, "run"}};
  return jobs;
}

}  // namespace whence

int main(int argc, char** argv) {
  whence::Session session(1);
  const whence::Communicator world = session.world();
  const std::string name = argc > 1 ? argv[1] : "--help";
  if (name == "--help" || name == "-h" || name == "help") {
    whence::print(world, whence::overview());
    return 0;
  }
  if (name == "--version") {
    whence::print(world, fmt::format("whence {} ({})\n", whence::version(), whence::git_sha()));
    return 0;
  }
  return whence::run_guarded(
      world, name, [&] { whence::run_job(name, std::vector<std::string>(argv + 2, argv + argc), world); });
}
