#include "whence/io/summary.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "whence/io/artifact.h"

namespace whence {
namespace {

std::int64_t node_count(const Communicator& ranks) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(ranks.handle(), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank_on_node = 0;
  MPI_Comm_rank(node, &rank_on_node);
  MPI_Comm_free(&node);
  return ranks.sum(static_cast<std::int64_t>(rank_on_node == 0));
}

double peak_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace

void record_cost(const std::string& folder, const JobCost& cost, const Communicator& ranks) {
  const std::int64_t nodes = node_count(ranks);
  const double peak = ranks.max(peak_bytes()), seconds = ranks.max(cost.seconds);
  ranks.on_root([&] {
    const std::string path = folder + "/summary.json";
    nlohmann::json all = nlohmann::json::object();
    if (std::filesystem::exists(path)) all = nlohmann::json::parse(read_text(path), nullptr, false);
    if (!all.is_object()) all = nlohmann::json::object();
    all[cost.job] = {{"ranks", ranks.size()},
                     {"nodes", nodes},
                     {"seconds", seconds},
                     {cost.unit, cost.units},
                     {cost.unit + "_per_second", seconds > 0 ? cost.units / seconds : 0.0},
                     {"bytes_written", cost.bytes},
                     {"peak_bytes_a_rank", static_cast<std::int64_t>(peak)}};
    write_text(path, all.dump(2) + "\n");
  });
}

}  // namespace whence
