// The logic around NCCL (id, joining, groups, order, errors, time-outs) on a double that answers by MPI in
// host memory. Runs on any number of ranks.
#include "whence/device/nccl_collectives.h"

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "whence/device/devices.h"
#include "whence/device/host_staged_collectives.h"

#include "device/nccl_over_mpi_double.h"

namespace whence {
namespace {

using std::chrono::milliseconds;
using Fault = NcclOverMpiDouble::Fault;

class Nccl : public testing::Test {
 protected:
  NcclCollectives make(milliseconds patience = milliseconds(20000)) const {
    return {world_, double_, patience};
  }
  bool alone() const { return world_.size() == 1; }
  bool last() const { return world_.rank() == world_.size() - 1; }
  double sum_of_ranks() const { return world_.size() * (world_.size() + 1) / 2.0; }

  const Communicator world_{MPI_COMM_WORLD};
  std::shared_ptr<NcclOverMpiDouble> double_ = std::make_shared<NcclOverMpiDouble>();
};

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return one_line(error);
  }
  return "";
}

TEST_F(Nccl, OneIdGoesRoundAndEveryoneLeavesOnce) {
  {
    const NcclCollectives nccl = make();
    EXPECT_EQ(double_->calls.front(), world_.is_root() ? "new_id" : "join");
    EXPECT_EQ(double_->alive.size(), 1u);
  }
  EXPECT_EQ(double_->left, 1);
  EXPECT_EQ(double_->aborted, 0);
}

TEST_F(Nccl, TensorsOfAnyKindAreAddedAsOneGroup) {
  NcclCollectives nccl = make();
  const double mine = world_.rank() + 1;
  const at::Tensor a = at::full({3, 2}, mine, at::kFloat), b = at::full({5}, 10 * mine, at::kDouble),
                   c = at::full({1}, world_.rank() + 1, at::kLong);
  double_->calls.clear();
  nccl.sum({a, b, c});
  if (alone())
    EXPECT_TRUE(double_->calls.empty()) << "nothing to add";
  else
    EXPECT_EQ(double_->calls, (std::vector<std::string>{"(", "sum", "sum", "sum", ")"}));
  nccl.wait_for_device();
  EXPECT_EQ(double_->calls.back(), "mark");
  EXPECT_TRUE(a.equal(at::full({3, 2}, sum_of_ranks(), at::kFloat)));
  EXPECT_TRUE(b.equal(at::full({5}, 10 * sum_of_ranks(), at::kDouble)));
  EXPECT_EQ(c[0].item<std::int64_t>(), static_cast<std::int64_t>(sum_of_ranks()));
}

TEST_F(Nccl, BroadcastsTakeRankZerosValues) {
  NcclCollectives nccl = make();
  const at::Tensor values = at::arange(4, at::kDouble) + world_.rank();
  nccl.broadcast({values});
  EXPECT_TRUE(values.equal(at::arange(4, at::kDouble)));
}

TEST_F(Nccl, WrongTensorsAreRefusedBeforeAnythingIsAsked) {
  NcclCollectives nccl = make();
  double_->calls.clear();
  EXPECT_NE(error_of([&] { nccl.sum({at::full({2}, 1, at::kHalf)}); }), "");
  EXPECT_THROW(nccl.sum({at::full({2, 3}, 1, at::kFloat).t()}), c10::Error);
  EXPECT_TRUE(double_->calls.empty());
}

TEST_F(Nccl, WhenOneRankCannotJoinAllRanksSaySoAndLeave) {
  if (last()) double_->fault = Fault::refuse_to_join;
  const std::string error = error_of([&] { make(); });
  EXPECT_NE(error.find("ncclCommInitRankConfig: out of memory"), std::string::npos) << error;
  const std::string who = alone() ? "" : fmt::format("rank {} (", world_.size() - 1);
  EXPECT_EQ(error.rfind(who, 0), 0u) << error;
  EXPECT_TRUE(double_->alive.empty()) << "who had joined must leave";
}

TEST_F(Nccl, AnErrorThatComesLaterNamesRankAndReason) {
  if (alone()) GTEST_SKIP() << "one rank asks for nothing";
  {
    NcclCollectives nccl = make();
    double_->fault = Fault::fail_later;
    const at::Tensor values = at::full({2}, 1.0, at::kDouble);
    const std::string error = error_of([&] { nccl.sum({values}); });
    EXPECT_EQ(error, fmt::format("NCCL: a sum failed on rank {} of {}: remote process exited", world_.rank(),
                                 world_.size()));
    double_->calls.clear();
    EXPECT_NE(error_of([&] { nccl.sum({values}); }), "");
    EXPECT_NE(error_of([&] { nccl.wait_for_device(); }), "");
    EXPECT_TRUE(double_->calls.empty()) << "nothing may be asked after an error";
  }
  EXPECT_EQ(double_->aborted, 1) << "leaving in order would wait for the rank that is gone";
  EXPECT_EQ(double_->left, 0);
}

TEST_F(Nccl, SilenceIsAnErrorAfterAWhile) {
  for (const Fault fault : {Fault::never_done, Fault::never_reached}) {
    if (alone() && fault == Fault::never_done) continue;
    double_->fault = Fault::none;
    NcclCollectives nccl = make(milliseconds(50));
    double_->fault = fault;
    const auto begin = std::chrono::steady_clock::now();
    const std::string error = error_of([&] {
      if (fault == Fault::never_done) nccl.sum({at::full({2}, 1.0, at::kDouble)});
      nccl.wait_for_device();
    });
    EXPECT_NE(error.find("did not end within 0.05 s on rank"), std::string::npos) << error;
    EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(50));
  }
}

TEST_F(Nccl, AnErrorOnItsWayUpDoesNotWaitForTheOthers) {
  EXPECT_NE(error_of([&] {
              const NcclCollectives nccl = make();
              fail("theta: not a finite number");
            }),
            "");
  EXPECT_EQ(double_->aborted, 1);
  EXPECT_EQ(double_->left, 0);
}

TEST_F(Nccl, AnErrorInAGroupEndsTheWholeWithoutWaiting) {
  {
    const NcclCollectives nccl = make(milliseconds(50));
    const std::unique_ptr<DeviceCollectives> group = nccl.for_group(world_);
    double_->fault = Fault::never_reached;
    EXPECT_NE(error_of([&] { group->wait_for_device(); }), "");
  }
  EXPECT_EQ(double_->aborted, 2);
  EXPECT_EQ(double_->left, 0);
}

TEST_F(Nccl, WhoCannotLeaveInOrderLeavesAfterAWhile) {
  {
    const NcclCollectives nccl = make(milliseconds(50));
    double_->fault = Fault::others_stay;
  }
  EXPECT_EQ(double_->aborted, 1);
  EXPECT_EQ(double_->left, 0);
}

TEST_F(Nccl, GroupsThatAreSplitOffAddAmongThemselves) {
  const Communicator half = world_.split(world_.rank() % 2);
  const NcclCollectives nccl = make();
  const std::unique_ptr<DeviceCollectives> own = nccl.for_group(half);
  double_->connect(half.handle());
  const at::Tensor values = at::full({1}, 1.0, at::kDouble);
  own->sum({values});
  EXPECT_EQ(values.item<double>(), half.size());
}

TEST_F(Nccl, SharedDevicesGoThroughHostMemory) {
  HostStagedCollectives staged(world_);
  const at::Tensor values = at::full({3}, world_.rank() + 1.0, at::kFloat), first = values.clone();
  staged.sum({values});
  staged.broadcast({first});
  EXPECT_TRUE(values.equal(at::full({3}, sum_of_ranks(), at::kFloat)));
  EXPECT_TRUE(first.equal(at::full({3}, 1.0, at::kFloat)));
}

TEST(Devices, RanksTakeGpusByLocalRankAndMayShareOnlyWhenAsked) {
  EXPECT_EQ(device_of(1, 2, 2, false), 1);
  EXPECT_EQ(device_of(2, 3, 2, true), 0);
  const std::string error = error_of([] { device_of(0, 3, 2, false); });
  EXPECT_EQ(error,
            "--device cuda: 3 ranks on this node but 2 GPUs; start one rank a GPU, or let them share with "
            "--share-gpu");
}

TEST(Devices, WithoutAGpuOneSentenceSaysWhatIsMissing) {
  Communicator world{MPI_COMM_WORLD};
  EXPECT_TRUE(join_devices("cpu", false, world).is_cpu());
  EXPECT_NE(error_of([&] { join_devices("gpu", false, world); }).find("--device: 'gpu'"), std::string::npos);
  const VisibleDevices visible = visible_devices();
  if (!visible.lines.empty()) GTEST_SKIP() << "there is a GPU: " << visible.lines.front();
  EXPECT_EQ(error_of([&] { join_devices("cuda", false, world); }), "--device cuda: " + visible.reason);
}

}  // namespace
}  // namespace whence
