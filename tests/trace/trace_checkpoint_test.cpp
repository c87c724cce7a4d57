// What an interrupted trace-back leaves: in the type that it is carried in, and once a group of ranks.
#include "whence/trace/trace_checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ATen/ops/full.h>

#include "whence/comm/partition.h"
#include "whence/game/autograd_engine.h"
#include "whence/io/hdf5.h"

#include "io/folder.h"
#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;
using test::QuadraticGame;
using testing::message_of;

constexpr std::int64_t instances = 19, batch = 6, width = 3;

MemoryRun make_run() {
  const auto game = std::make_shared<QuadraticGame>(width, true, 0.1);
  return {game,
          std::make_shared<AutogradEngine>(game),
          normals({instances, width}, 1),
          {instances, batch, 2, 3, Update::simultaneous, Decay::constant, {0.05, 0.06}}};
}

class Saved : public testing::SharedFolder {
 protected:
  TraceCheckpoint checkpoint() const {
    return {path("influence.h5"), {{"what", "a test"}}, Unfinished::keep, world_};
  }
  TraceBack begun(std::int64_t groups, std::int64_t steps) const {
    TraceBack sweep(run_.steps(), queries_, {{1, 2}, {0.0, 0.5}, {groups}}, world_);
    while (sweep.taken() < steps) sweep.step();
    return sweep;
  }

  MemoryRun run_ = make_run();
  at::Tensor queries_ = normals({4, 2 * width}, 5);
};

TEST_F(Saved, GoesOnToTheSameBitsOnAnyGrid) {
  for (std::int64_t groups = 1; groups <= world_.size(); ++groups) {
    TraceBack whole = begun(groups, 6), half = begun(groups, 4), rest = begun(groups, 0);
    checkpoint().save(half);
    EXPECT_TRUE(checkpoint().load(rest));
    EXPECT_EQ(rest.taken(), 4);
    while (!rest.done()) rest.step();
    EXPECT_TRUE(test::same_bits(rest.result(), whole.result())) << groups;
    checkpoint().remove();
    EXPECT_FALSE(checkpoint().load(rest));
  }
}

TEST_F(Saved, HoldsWhatIsCarriedOnceAGroup) {
  for (std::int64_t groups = 1; groups <= world_.size(); ++groups) {
    TraceBack half = begun(groups, 4);
    checkpoint().save(half);
    const H5File file = H5File::open_to_read(path("influence.h5.part"));
    TraceCheckpoint::verify(file);
    const std::int64_t most = part_of(4, groups, 0).size();
    EXPECT_EQ(file.array("queries").shape(), (Shape{groups, 2 * most * 2 * width}));
    EXPECT_EQ(file.array("queries").dtype(), at::kDouble);
    const TraceState own = half.state();
    const std::int64_t group = group_of(world_.rank(), world_.size(), half.grid());
    EXPECT_TRUE(file.array("queries").read({group, 0}, {1, own.queries.numel()})[0].equal(own.queries));
    world_.barrier();
    checkpoint().remove();
  }
}

TEST_F(Saved, IsOfTheTypeThatIsCarried) {
  TraceBack narrow(run_.steps(), queries_.to(at::kFloat), {{1}, {0.0}, {1}}, world_);
  checkpoint().save(narrow);
  EXPECT_EQ(H5File::open_to_read(path("influence.h5.part")).array("queries").dtype(), at::kFloat);
  world_.barrier();
}

TEST_F(Saved, DamagedNamesTheRankWhoseItWas) {
  TraceBack half = begun(1, 4), rest = begun(1, 0);
  checkpoint().save(half);
  const std::int64_t last = world_.size() - 1;
  world_.on_root([&] {
    const H5File file = H5File::open_to_write(path("influence.h5.part"));
    const H5Array queries = file.array("queries");
    queries.write(at::full({1, 1}, 3.0, at::kDouble), {0, queries.shape()[1] - 1});
  });
  const std::string said = message_of([&] { checkpoint().load(rest); });
  EXPECT_NE(said.find(fmt::format("what rank {} carried does not match its checksum", last)),
            std::string::npos)
      << said;
}

}  // namespace
}  // namespace whence
