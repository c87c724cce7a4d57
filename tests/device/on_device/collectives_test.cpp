// Sums and broadcasts of device tensors among ranks that have joined their devices: by NCCL on GPUs, one a
// rank.
#include <cstdint>
#include <gtest/gtest.h>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "whence/device/devices.h"

namespace whence {
namespace {

class JoinedDevices : public ::testing::Test {
 protected:
  void SetUp() override {
    const VisibleDevices visible = visible_devices();
    const auto gpus = static_cast<std::int64_t>(visible.lines.size());
    if (gpus < world.size())
      GTEST_SKIP() << (gpus == 0 ? visible.reason : "NCCL needs a GPU for each rank, and there are fewer");
    device = join_devices("cuda", /*share=*/false, world);
  }
  double sum_of_ranks() const { return world.size() * (world.size() + 1) / 2.0; }
  at::Tensor mine(double factor, at::ScalarType type) const {
    return at::full({3, 2}, factor * (world.rank() + 1), at::TensorOptions(device).dtype(type));
  }

  Communicator world{MPI_COMM_WORLD};
  at::Device device = at::kCPU;
};

TEST_F(JoinedDevices, AddUpTensorsOfEveryKindAloneAndTogether) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kLong}) {
    at::Tensor one = mine(2, type);
    std::vector<at::Tensor> several{mine(1, type), mine(3, type)};
    world.sum(one);
    world.sum(several);
    world.wait_for_device();
    EXPECT_TRUE(one.cpu().equal(at::full({3, 2}, 2 * sum_of_ranks(), type)));
    EXPECT_TRUE(several[0].cpu().equal(at::full({3, 2}, sum_of_ranks(), type)));
    EXPECT_TRUE(several[1].cpu().equal(at::full({3, 2}, 3 * sum_of_ranks(), type)));
  }
}

TEST_F(JoinedDevices, TakeRankZerosValues) {
  at::Tensor values = at::arange(5, at::TensorOptions(device).dtype(at::kDouble)) + world.rank();
  world.broadcast(values);
  world.wait_for_device();
  EXPECT_TRUE(values.cpu().equal(at::arange(5, at::kDouble)));
}

TEST_F(JoinedDevices, KeepTheOrderOfTheStream) {
  at::Tensor value = mine(1, at::kDouble);
  for (int i = 0; i < 20; ++i) {
    world.sum(value);
    value.div_(world.size());
  }
  world.wait_for_device();
  EXPECT_NEAR(value.cpu()[0][0].item<double>(), sum_of_ranks() / world.size(), 1e-12);
}

TEST_F(JoinedDevices, GroupsAddAmongThemselves) {
  const Communicator alone = world.split(world.rank()), all = world.split(0);
  at::Tensor own = mine(1, at::kDouble), together = mine(1, at::kDouble);
  alone.sum(own);
  all.sum(together);
  alone.wait_for_device();
  all.wait_for_device();
  EXPECT_EQ(own.cpu()[0][0].item<double>(), world.rank() + 1);
  EXPECT_EQ(together.cpu()[0][0].item<double>(), sum_of_ranks());
}

}  // namespace
}  // namespace whence
