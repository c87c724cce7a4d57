#include "whence/io/summary.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "whence/comm/nodes.h"
#include "whence/core/matrix_kernels.h"
#include "whence/core/progress.h"
#include "whence/io/artifact.h"

namespace whence {
namespace {

// What earlier starts of an interrupted job have cost; zeros where there are none.
JobCost with_earlier_starts(JobCost cost, const nlohmann::json& before, std::int64_t& starts, double& peak) {
  // A summary is for people, who may have changed it: what is no number counts as none.
  const auto number = [&before](const std::string& name) {
    const auto found = before.find(name);
    return found != before.end() && found->is_number() ? std::clamp(found->get<double>(), 0.0, 1e15) : 0.0;
  };
  if (!before.is_object() || before.value("finished", nlohmann::json(true)) != false) return cost;
  cost.unit_seconds +=
      before.contains(cost.unit + "_seconds") ? number(cost.unit + "_seconds") : number("seconds");
  cost.seconds += number("seconds");
  cost.units += std::llround(number(cost.unit));
  cost.bytes += std::llround(number("bytes_written"));
  starts += std::llround(number("starts"));
  peak = std::max(peak, number("peak_bytes_a_rank"));
  return cost;
}

// "tracin", "tracin-NAME", "counterfactual-groups".
std::string entry_of(const JobCost& cost) {
  const bool of_job = cost.result == cost.job || cost.result.rfind(cost.job + "-", 0) == 0;
  return cost.result.empty() ? cost.job : of_job ? cost.result : cost.job + "-" + cost.result;
}

double rate_of(const JobCost& cost) {
  return cost.unit_seconds > 0 ? static_cast<double>(cost.units) / cost.unit_seconds : 0.0;
}

std::string sentence(const JobCost& cost, std::int64_t ranks, std::int64_t nodes, std::int64_t starts,
                     double peak) {
  std::string unit = cost.unit;
  std::replace(unit.begin(), unit.end(), '_', '-');
  return fmt::format(
      "{} {}: {} rank{} on {} node{}, {}, {} {} ({:.4g} a second), {} written, peak memory {} a rank{}",
      cost.job, cost.finished ? "done" : "interrupted", ranks, ranks == 1 ? "" : "s", nodes,
      nodes == 1 ? "" : "s", human_seconds(cost.seconds), cost.units, unit, rate_of(cost),
      human_bytes(cost.bytes), human_bytes(peak),
      starts > 1 ? fmt::format(", {} starts together", starts) : "");
}

}  // namespace

// Not getrusage's: that counts what the program that started this one had, too.
double peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) * 1024;
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

std::string record_cost(const std::string& folder, const JobCost& cost, const Communicator& ranks) {
  const std::int64_t nodes = node_count(ranks);
  double peak = ranks.max(peak_memory());
  JobCost total = cost;
  total.seconds = ranks.max(cost.seconds);
  total.unit_seconds = ranks.max(cost.unit_seconds < 0 ? cost.seconds : cost.unit_seconds);
  const std::string name = entry_of(cost);
  std::string line;
  ranks.on_root([&] {
    const std::string path = folder + "/summary.json";
    const RunLock turn(folder, "summary", RunLock::Busy::wait);
    nlohmann::json all = nlohmann::json::object();
    if (std::filesystem::exists(path)) all = nlohmann::json::parse(read_text(path), nullptr, false);
    if (!all.is_object()) all = nlohmann::json::object();
    std::int64_t starts = 1;
    total = with_earlier_starts(total, all.value(name, nlohmann::json()), starts, peak);
    all[name] = {{"ranks", ranks.size()},
                 {"nodes", nodes},
                 {"seconds", total.seconds},
                 {cost.unit, total.units},
                 {cost.unit + "_seconds", total.unit_seconds},
                 {cost.unit + "_per_second", rate_of(total)},
                 {"bytes_written", total.bytes},
                 {"peak_bytes_a_rank", static_cast<std::int64_t>(peak)},
                 {"matrix_products", matrix_kernels_in_use()},
                 {"starts", starts},
                 {"finished", cost.finished}};
    write_text(path, all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    line = sentence(total, ranks.size(), nodes, starts, peak);
  });
  return line;
}

}  // namespace whence
