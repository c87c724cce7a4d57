// A job that fails as its argument says, while other ranks wait; abort_test.py looks at how it ends.
#include <chrono>
#include <string>
#include <thread>

#include <ATen/ATen.h>

#include "whence/comm/session.h"
#include "whence/comm/work_queue.h"
#include "whence/core/error.h"

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  whence::Session session(1);
  const whence::Communicator world = session.world();
  return whence::run_guarded(world, "rehearsal", [&] {
    if (mode == "one" && world.rank() == 1) throw whence::Error("on purpose");
    if (mode == "all") throw whence::Error("on purpose");
    if (mode == "same-turn") {
      // Rank 0's turn comes at once and the next one's later by as much as this: they would speak together.
      if (world.is_root()) std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (world.rank() < 2) throw whence::Error("on purpose");
    }
    if (mode == "root") world.on_root([] { throw whence::Error("on purpose"); });
    if (mode == "together") world.on_every_rank([] { throw whence::Error("on purpose"); });
    const bool last = world.rank() == world.size() - 1;
    if (mode == "together-last")
      world.on_every_rank([&] {
        if (last) throw whence::Error("on purpose");
      });
    if (mode == "usage-together")
      world.on_every_rank([&] {
        if (last) throw whence::UsageError("on purpose");
      });
    if (mode == "usage") world.on_root([] { throw whence::UsageError("on purpose"); });
    if (mode == "usage-of-one" && world.rank() == 1) throw whence::UsageError("on purpose");
    if (mode == "libtorch") at::zeros({2}).add_(at::zeros({3}));
    if (mode == "queue") {
      whence::WorkQueue queue(world, 1);
      if (world.rank() == 1) throw whence::Error("on purpose");
      world.barrier();
    }
    world.barrier();
  });
}
