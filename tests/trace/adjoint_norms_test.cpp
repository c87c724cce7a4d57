// |u| of a trace-back against powers of an explicit Jacobian, and the growth that is read off it.
#include "whence/trace/adjoint_norms.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/comm/session.h"
#include "whence/game/autograd_engine.h"
#include "whence/train/step.h"

#include "support/memory_run.h"
#include "support/numbers.h"
#include "support/quadratic_game.h"

namespace whence {
namespace {

using test::MemoryRun;
using test::normals;
using test::QuadraticGame;

constexpr std::int64_t instances = 20, batch = 5, epochs = 8, width = 3, parameters = 2 * width;

MemoryRun make_run() {
  const auto game = std::make_shared<QuadraticGame>(width, true, 0.1);
  ScheduleOptions schedule{instances,           batch,     epochs, 3, Update::simultaneous,
                           Decay::inverse_sqrt, {0.2, 0.3}};
  return {game, std::make_shared<AutogradEngine>(game), normals({instances, width}, 1), schedule};
}

// J [P, P] of step t: the losses are quadratic, so that differences of g are exact.
at::Tensor jacobian(const RecordedSteps& run, std::int64_t t) {
  const at::Tensor positions = run.batch(t);
  const Batch all = make_batch(run.data, positions, run.seed, t, {0, batch}, run.game);
  const auto g = [&](const at::Tensor& theta) {
    return run.engine.gradient(theta.unsqueeze(0), all, at::ones({1, batch}, at::kDouble))[0];
  };
  const at::Tensor at_zero = g(at::zeros({parameters}, at::kDouble)), unit = at::eye(parameters, at::kDouble);
  std::vector<at::Tensor> columns;
  for (std::int64_t i = 0; i < parameters; ++i) columns.push_back(g(unit[i]) - at_zero);
  return at::stack(columns, 1);
}

// |u| of each query at noted_steps() by explicit products.
at::Tensor explicit_norms(const RecordedSteps& run, at::Tensor u, std::int64_t steps) {
  std::vector<at::Tensor> norms{u.square().sum(1).sqrt()};
  for (std::int64_t back = 1; back <= steps; ++back) {
    const std::int64_t t = run.steps - back;
    at::Tensor rates = at::empty({parameters}, at::kDouble);
    for (const Move& move : run.moves(t)) rates.narrow(0, move.begin, move.end - move.begin).fill_(move.rate);
    u = u - (u * rates).matmul(jacobian(run, t));
    if (back % norm_stride == 0 || back == steps) norms.push_back(u.square().sum(1).sqrt());
  }
  return at::stack(norms, 1);
}

TEST(AdjointNorms, AreThoseOfExplicitJacobiansOnAnyGrid) {
  const Communicator world(MPI_COMM_WORLD);
  const MemoryRun run = make_run();
  const at::Tensor queries = normals({3, parameters}, 4);
  for (const std::int64_t k : {2, 8}) {
    const std::int64_t steps = k * run.steps().steps_per_epoch;
    const at::Tensor expected = explicit_norms(run.steps(), queries, steps);
    ASSERT_GT((expected.select(1, expected.size(1) - 1) - expected.select(1, 0)).abs().max().item<double>(),
              0.1);
    for (std::int64_t groups = 1; groups <= world.size(); ++groups) {
      TraceBack sweep(run.steps(), queries, {{1, k}, {0.0, 0.5}, {groups}}, world);
      TraceState half;
      while (!sweep.done()) {
        if (sweep.taken() == steps / 2) half = {sweep.state().queries.clone(), sweep.state().sums};
        sweep.step();
      }
      const at::Tensor norms = sweep.adjoint_norms();
      ASSERT_EQ(norms.sizes(), (std::vector<std::int64_t>{2, 3, expected.size(1)}));
      ASSERT_EQ(static_cast<std::int64_t>(noted_steps(steps).size()), expected.size(1));
      for (std::int64_t w = 0; w < 2; ++w)
        EXPECT_LT(test::relative_difference(norms[w], expected), 1e-12) << groups << " groups";
      // One that goes on from the middle knows the norms before it.
      TraceBack again(run.steps(), queries, {{1, k}, {0.0, 0.5}, {groups}}, world);
      again.restore(steps / 2, half);
      while (!again.done()) again.step();
      EXPECT_TRUE(again.adjoint_norms().equal(norms));
    }
  }
}

TEST(AdjointNorms, GrowthIsTheLargestRatioOverTheWindow) {
  const std::vector<std::int64_t> back = noted_steps(63);
  ASSERT_EQ(back, (std::vector<std::int64_t>{0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 63}));
  const at::Tensor norms =
      at::tensor({1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 5.0, 1.0, 1.0, 1.0, 1.0, 20.0, 90.0}, at::kDouble);
  const Growth far = largest_growth(norms, back, 60), near = largest_growth(norms, back, 36);
  EXPECT_EQ(far.factor, 4);  // from 35 to 60: 20 / 5; 3 from 5 to 30
  EXPECT_EQ(far.begin, 35);
  EXPECT_EQ(near.factor, 3);
  EXPECT_EQ(near.begin, 5);
  EXPECT_EQ(near.end, 30);
  EXPECT_EQ(largest_growth(norms, back, 12).factor, 2);  // shorter than the window: all of it
  EXPECT_EQ(largest_growth(at::zeros({14}, at::kDouble), back, 63).factor, 1);
}

}  // namespace
}  // namespace whence
