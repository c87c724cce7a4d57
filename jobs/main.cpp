// whence JOB [options]: finds the job, reads its options, runs it on all ranks.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <set>

#include "whence/comm/agreement.h"
#include "whence/comm/launcher.h"
#include "whence/comm/session.h"
#include "whence/core/config_line.h"
#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/core/text.h"

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
  if (name.rfind("-", 0) == 0) refuse("'{}': the job comes first: whence JOB [options]", visible(name));
  std::vector<std::string> names;
  for (const Job& job : all_jobs()) names.push_back(job.name);
  const std::string hint = did_you_mean(name, names);
  refuse("no such job{}", hint.empty() ? " (whence --help lists them)" : hint);
}

// `whence info FILE` is `whence info --file FILE`.
std::vector<std::string> with_names(const Job& job, std::vector<std::string> arguments) {
  if (!job.positional.empty() && !arguments.empty() && arguments.front().rfind("-", 0) != 0)
    arguments.insert(arguments.begin(), "--" + job.positional);
  return arguments;
}

// Options that each rank may have its own of; a file's options are compared, not its name.
const std::set<std::string> each_rank_its_own{"config", "quiet", "threads"};

void check_options_alike(const Options& options, const Communicator& world) {
  auto values = options.values(each_rank_its_own);
  for (auto& [name, value] : values) name.insert(0, "--");
  check_alike(values, world);
}

void run_job(const std::string& name, const std::vector<std::string>& arguments, const Communicator& world) {
  world.on_every_rank([&] { job_named(name); });
  const Job& job = job_named(name);
  const OptionTable table = job.options();
  std::unique_ptr<Options> options;
  world.on_every_rank([&] { options = std::make_unique<Options>(table, with_names(job, arguments)); });
  check_options_alike(*options, world);
  if (options->flag("help"))
    return print(world, fmt::format("whence {}: {}\n\n{}", job.name, job.summary, table.help()));
  try {
    job.run(*options, world);
  } catch (const SharedUsageError& error) {
    throw SharedUsageError(with_line(error.what(), options->text("config"), arguments));
  } catch (const UsageError& error) {
    throw UsageError(with_line(error.what(), options->text("config"), arguments));
  }
}

// The command line without the program's name; returns the exit code.
int run_words(std::vector<std::string> words, const Communicator& world) {
  const std::string first = words.empty() ? "" : words.front();
  check_launcher(world.size());
  check_alike({{"the job", first}, {"Whence's version", fmt::format("{} ({})", version(), git_sha())}},
              world);
  if (words.empty()) {  // a batch script that forgot the job must not go on
    if (world.is_root()) std::fputs(overview().c_str(), stderr);
    return 2;
  }
  if (first == "--version" || first == "-V" || first == "version") {
    print(world, fmt::format("whence {} ({})\n", version(), git_sha()));
    return 0;
  }
  if (first == "--help" || first == "-h" || first == "help") {
    if (words.size() == 1) {
      print(world, overview());
      return 0;
    }
    words = {words[1], "--help"};  // whence help JOB
  }
  const std::string name = words.front();
  words.erase(words.begin());
  run_job(name, words, world);
  return 0;
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
      {"tracin", "TracIn scores of every training instance, from checkpoints", tracin_options, run_tracin,
       ""},
      {"cleanse", "retrain without the most harmful instances of several selections, and test",
       cleanse_options, run_cleanse, ""},
      {"cleanse-table", "what cleansing did to the test metrics, over one or several runs",
       cleanse_table_options, run_cleanse_table, ""},
      {"density", "influence of instances in k-NN, kernel and mixture densities: formulas and exactly",
       density_options, run_density, ""},
      {"show", "list the most harmful and most helpful instances, by every result of a run folder",
       show_options, run_show, "run"},
      {"check", "say whether a model exported from PyTorch can be used, and what it costs", check_options,
       run_check, "model"},
      {"info", "say in words what a run folder or a file holds", info_options, run_info, "file"},
      {"verify", "check every checksum of a run folder", verify_options, run_verify, "run"}};
  return jobs;
}

}  // namespace whence

int main(int argc, char** argv) {
  int code = 0;
  {
    whence::Session session(1);
    const whence::Communicator world = session.world();
    const std::vector<std::string> words(argv + 1, argv + argc);
    const int failed = whence::run_guarded(world, whence::visible(words.empty() ? "" : words.front()),
                                           [&] { code = whence::run_words(words, world); });
    if (failed != 0) code = failed;
  }
  // Everything is closed and told. Leaving main() would have LibTorch take down its operators one by one,
  // which takes as long as many a job.
  std::fflush(nullptr);
  std::_Exit(code);
}
