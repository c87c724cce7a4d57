// Of ranks that ask at the same moment exactly one may speak.
#include "whence/comm/speaker.h"

#include <gtest/gtest.h>

namespace whence {
namespace {

TEST(Speaker, IsExactlyOneRank) {
  const Communicator world(MPI_COMM_WORLD);
  for (int time = 0; time < 50; ++time) {
    Speaker speaker(world);
    world.barrier();
    const bool first = speaker.claim(), second = speaker.claim();
    EXPECT_EQ(world.sum(static_cast<std::int64_t>(first)), 1);
    EXPECT_EQ(world.sum(static_cast<std::int64_t>(second)), world.size() == 1 ? 1 : 0) << "it is given once";
  }
}

TEST(Speaker, EndsInOrderWhereNobodyClaims) {
  const Communicator world(MPI_COMM_WORLD);
  for (int time = 0; time < 20; ++time) const Speaker speaker(world);
}

}  // namespace
}  // namespace whence
