// Every test executable runs on any number of ranks: a failure on one rank is a failure of the run.
#include <gtest/gtest.h>

#include "whence/comm/communicator.h"
#include "whence/comm/session.h"
#include "whence/core/matrix_kernels.h"

int main(int argc, char** argv) {
  whence::Session session(1);
  whence::choose_matrix_kernels(false);
  const whence::Communicator world = session.world();
  ::testing::InitGoogleTest(&argc, argv);
  if (world.rank() != 0) {
    // Only rank 0 tells the story of tests that pass; failures are told by every rank that sees one.
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    class FailuresOnly : public ::testing::EmptyTestEventListener {
      void OnTestPartResult(const ::testing::TestPartResult& result) override {
        if (result.failed())
          printf("%s:%d: %s\n", result.file_name(), result.line_number(), result.message());
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly);
  }
  const int failed = RUN_ALL_TESTS();
  return world.sum(static_cast<std::int64_t>(failed)) == 0 ? 0 : 1;
}
