#include "whence/retrain/retrain_blocks.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "whence/comm/work_queue.h"
#include "whence/device/devices.h"

namespace whence {
namespace {

// Of the whole work by what one rank sees of it: ranks have begun a block each, and go on alike.
class Shares {
 public:
  Shares(const BlockWork& work, std::int64_t ranks) : ranks_(ranks) {
    for (const CounterfactualBlock& block : work.blocks)
      before_.push_back(before_.back() +
                        static_cast<double>((work.run.steps - block.first_step) *
                                            (1 + static_cast<std::int64_t>(block.removals.size()))));
  }

  // With `part` of block b done.
  double at(std::int64_t b, double part) const {
    const std::int64_t first = b / ranks_ * ranks_,
                       end = std::min(static_cast<std::int64_t>(before_.size()) - 1, first + ranks_);
    return (before_[first] + part * (before_[end] - before_[first])) / std::max(1.0, before_.back());
  }

 private:
  std::int64_t ranks_;
  std::vector<double> before_{0};  // replica-steps of the blocks before each, and of all of them
};

// Takes the block's steps until its end or a signal, calling `taken` after each; returns the seconds. A
// device is waited for: its steps are asked for long before they are done.
double take_steps(Retraining& block, WorkQueue& queue, const StopSignals& signals,
                  const std::function<void()>& taken) {
  const auto begin = std::chrono::steady_clock::now();
  for (; !block.done() && !queue.stopped(signals); queue.progress()) {
    block.advance();
    taken();
  }
  const auto mark = device_mark(block.state().device());
  mark->set();
  mark->wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

BlockProgress retrain_blocks(const BlockWork& work, const Log& log, const Communicator& ranks) {
  const auto total = static_cast<std::int64_t>(work.blocks.size());
  const std::int64_t earlier = work.store.finished_count();
  if (earlier > 0) log.say(fmt::format("{} of {} blocks are already finished", earlier, total));
  std::int64_t finished = 0, replica_steps = 0;
  double step_seconds = 0;
  const Shares shares(work, ranks.size());
  Progress progress(log, work.label, total);
  {
    WorkQueue queue(ranks, total);
    while (const auto b = queue.next()) {
      progress.advance_to(*b, shares.at(*b, 0));
      if (work.store.finished(*b)) continue;
      Retraining block(work.run, work.blocks[*b], work.removals, work.weight);
      work.begun.load(*b, block);
      const std::int64_t first = block.step();
      step_seconds += take_steps(block, queue, work.signals, [&] {
        const auto begin = static_cast<double>(work.blocks[*b].first_step);
        progress.advance_to(*b, shares.at(*b, (static_cast<double>(block.step()) - begin) /
                                                  (static_cast<double>(block.last_step()) - begin)));
      });
      replica_steps += (block.step() - first) * block.replicas();
      if (!block.done()) {
        work.begun.save(*b, block);
        break;
      }
      work.store.write(*b, work.row(block));
      work.begun.remove(*b);
      ++finished;
    }
  }
  finished = ranks.sum(finished);
  const bool complete = earlier + finished == total;
  if (complete) progress.advance_to(total);
  return {finished, ranks.sum(replica_steps), ranks.max(step_seconds), complete};
}

}  // namespace whence
