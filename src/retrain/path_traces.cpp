#include "whence/retrain/path_traces.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <limits>
#include <optional>

#include "whence/comm/work_queue.h"
#include "whence/retrain/paths.h"
#include "whence/trace/trace_checkpoint.h"

namespace whence {
namespace {

// One trace, or those of all k along the recorded path.
struct Item {
  std::int64_t path;
  std::vector<std::int64_t> horizons;  // positions in epochs_back
};

// The longest first.
std::vector<Item> items_of(const PathWork& work) {
  const auto horizons = static_cast<std::int64_t>(work.trace.epochs_back.size());
  std::vector<Item> items{{0, {}}};
  for (std::int64_t k = 0; k < horizons; ++k) items.front().horizons.push_back(k);
  for (std::int64_t k = horizons - 1; k >= 0; --k)
    for (std::size_t p = 1; p <= work.without[k].size(); ++p)
      items.push_back({static_cast<std::int64_t>(p), {k}});
  return items;
}

class PathTracer {
 public:
  PathTracer(const PathWork& work, WorkQueue& queue) : work_(work), queue_(queue) {}

  // False where it had to stop.
  bool trace(const Item& item) {
    const RecordedSteps& run = work_.run;
    std::optional<RetrainedPath> path;
    if (item.path > 0) {
      const std::int64_t k = item.horizons.front();
      path.emplace(run, work_.without[k][item.path - 1], work_.trace.epochs_back[k], work_.memory);
      for (; !path->done(); ++steps, queue_.progress()) {
        if (queue_.stopped(work_.signals)) return false;
        path->advance();
      }
    }
    const RecordedSteps along = path ? path->run() : run;
    const RecordedSteps traced = work_.as_traced(along);
    const at::Tensor queries =
        evaluate_all(work_.metrics, run.optimiser.model(along.state(run.steps)), self_, [](double) {
        }).gradients;
    TraceBackOptions options{{}, work_.trace.kink_widths, {1}};
    for (const std::int64_t k : item.horizons) options.epochs_back.push_back(work_.trace.epochs_back[k]);
    TraceBack sweep(traced, queries, options, self_);
    if (!go_back(item, sweep)) return false;
    write(item, sweep.result());
    return true;
  }

  // "the path without instance 12"
  std::string name_of(const Item& item) const {
    if (item.path == 0) return "the recorded path";
    return fmt::format("the path without instance {}",
                       work_.run.data.ids[work_.without[item.horizons.front()][item.path - 1]]);
  }

  // influence [widths, metrics, horizons of the item, N].
  void write(const Item& item, const at::Tensor& influence) {
    const auto horizons = static_cast<std::int64_t>(work_.trace.epochs_back.size());
    for (std::size_t i = 0; i < item.horizons.size(); ++i)
      work_.store.write(item.path * horizons + item.horizons[i],
                        influence.select(2, static_cast<std::int64_t>(i)).reshape({-1}).contiguous());
  }

  bool finished(const Item& item) const {
    const auto horizons = static_cast<std::int64_t>(work_.trace.epochs_back.size());
    for (const std::int64_t k : item.horizons)
      if (!work_.store.finished(item.path * horizons + k)) return false;
    return true;
  }

  std::int64_t steps = 0;

 private:
  // RESULT.part.NUMBER.part, beside the store's RESULT.part.
  TraceCheckpoint checkpoint_of(const Item& item) const {
    const std::int64_t number =
        item.path * static_cast<std::int64_t>(work_.trace.epochs_back.size()) + item.horizons.front();
    return {fmt::format("{}.part.{}", work_.result, number), work_.attributes, work_.unfinished, self_};
  }

  bool go_back(const Item& item, TraceBack& sweep) {
    using Clock = std::chrono::steady_clock;
    const TraceCheckpoint checkpoint = checkpoint_of(item);
    checkpoint.load(sweep);
    auto saved = Clock::now();
    for (; !sweep.done(); ++steps, queue_.progress()) {
      const bool stop = queue_.stopped(work_.signals);
      if (stop ||
          std::chrono::duration<double>(Clock::now() - saved).count() > TraceCheckpoint::seconds_between) {
        checkpoint.save(sweep);
        saved = Clock::now();
      }
      if (stop) return false;
      sweep.step();
    }
    checkpoint.remove();
    return true;
  }

  const PathWork& work_;
  WorkQueue& queue_;
  Communicator self_{MPI_COMM_SELF};
};

}  // namespace

std::int64_t path_rows(std::int64_t paths, const TraceBackOptions& trace) {
  return (paths + 1) * static_cast<std::int64_t>(trace.epochs_back.size());
}

std::int64_t path_row_width(const TraceBackOptions& trace, std::int64_t metrics, std::int64_t instances) {
  return static_cast<std::int64_t>(trace.kink_widths.size()) * metrics * instances;
}

namespace {

// Of the failures of ranks, each at an item or at `none`: the first item's, on every rank.
std::string first_of(const std::string& failure, std::int64_t item, std::int64_t none,
                     const Communicator& ranks) {
  const auto first = -static_cast<std::int64_t>(ranks.max(-static_cast<double>(item)));
  if (first == none) return "";
  return ranks.broadcast(failure, static_cast<int>(ranks.max(item == first ? ranks.rank() : -1)));
}

}  // namespace

PathProgress trace_paths(const PathWork& work, const at::Tensor& recorded_path, const Log& log,
                         const Communicator& ranks) {
  const std::vector<Item> items = items_of(work);
  const auto total = static_cast<std::int64_t>(items.size());
  std::int64_t done = 0, steps = 0, failed = total;
  std::string failure;
  Progress progress(log, "traces along paths", total);
  {
    WorkQueue queue(ranks, total);
    PathTracer tracer(work, queue);
    while (const auto number = queue.next()) {
      progress.advance_to(*number);
      const Item& item = items[*number];
      if (tracer.finished(item)) {
        ++done;
        continue;
      }
      if (*number == 0 && recorded_path.defined())
        tracer.write(item, recorded_path);
      else
        try {
          if (!tracer.trace(item)) break;
        } catch (const NotFinite& error) {
          failed = *number;
          failure = fmt::format("along {}: {}", tracer.name_of(item), error.what());
          break;
        }
      ++done;
    }
    steps = tracer.steps;
  }
  done = ranks.sum(done);
  if (done == total) progress.advance_to(total);
  return {ranks.sum(steps), done, total, first_of(failure, failed, total, ranks)};
}

at::Tensor spread_of(const at::Tensor& traces) {
  // Scaled, since squares of estimates that have grown beyond all bounds are not finite.
  const double scale = std::max(traces.abs().max().item<double>(), std::numeric_limits<double>::min());
  const at::Tensor small = traces / scale;
  const auto paths = static_cast<double>(traces.size(0) - 1);
  return (small - small.mean(0)).square().sum(0).div(paths).sqrt() * scale;
}

}  // namespace whence
