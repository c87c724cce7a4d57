#include "whence/retrain/retrain_blocks.h"

#include "whence/comm/work_queue.h"

namespace whence {

BlockProgress retrain_blocks(const BlockWork& work, const Log& log, const Communicator& ranks) {
  const auto total = static_cast<std::int64_t>(work.blocks.size());
  const std::int64_t earlier = work.store.finished_count();
  if (earlier > 0) log.say(fmt::format("{} of {} blocks are already finished", earlier, total));
  std::int64_t finished = 0, replica_steps = 0;
  Progress progress(log, work.label, total);
  {
    WorkQueue queue(ranks, total);
    while (const auto b = queue.next()) {
      progress.advance_to(*b);
      if (work.store.finished(*b)) continue;
      Retraining block(work.run, work.blocks[*b], work.removals);
      work.begun.load(*b, block);
      const std::int64_t first = block.step();
      for (; !block.done() && !queue.stopped(work.signals); queue.progress()) block.advance();
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
  return {finished, ranks.sum(replica_steps), complete};
}

}  // namespace whence
