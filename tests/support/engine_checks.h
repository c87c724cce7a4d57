#pragma once
// What native engines of any game have to keep.

#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <memory>
#include <string>

#include <ATen/ops/ones.h>

#include "whence/game/engine.h"
#include "whence/game/game.h"

#include "support/numbers.h"

namespace whence::test {

inline void expect_alike(const TracedStep& actual, const TracedStep& expected, double within,
                         const std::string& where = "") {
  EXPECT_LT(relative_difference(actual.u_jacobian, expected.u_jacobian), within) << where;
  EXPECT_LT(relative_difference(actual.u_instance, expected.u_instance), within) << where;
}

inline bool same_trace(const TracedStep& a, const TracedStep& b) {
  return same_bits(a.u_jacobian, b.u_jacobian) && same_bits(a.u_instance, b.u_instance);
}

/// Replica r and query r of many are bit for bit what they are alone, and what any number of threads gives.
/// params [R, P], weights [R, b].
inline void expect_bits_of_one_at_a_time(const Engine& engine, const Engine& another, const Batch& batch,
                                         const at::Tensor& params, const at::Tensor& weights) {
  const at::Tensor together = engine.gradient(params, batch, weights);
  const TracedStep traced = engine.trace(params[0], batch, params, 0.3);
  for (std::int64_t r = 0; r < params.size(0); ++r) {
    EXPECT_TRUE(same_bits(together.narrow(0, r, 1),
                          another.gradient(params.narrow(0, r, 1), batch, weights.narrow(0, r, 1))));
    EXPECT_TRUE(same_trace(engine.trace(params[0], batch, params.narrow(0, r, 1), 0.3),
                           {traced.u_jacobian.narrow(0, r, 1), traced.u_instance.narrow(0, r, 1)}));
  }
}

/// NaN in any parameter reaches gradient and trace. params [1, P], queries [1, P].
inline void expect_nan_to_spread(const Game& game, const Engine& engine, const Batch& batch,
                                 const at::Tensor& params, const at::Tensor& queries) {
  const at::Tensor weights = at::ones({1, batch.instances.size(0)}, params.options());
  for (const ParameterSpec& spec : game.layout().specs()) {
    at::Tensor damaged = params.clone();
    damaged[0][spec.offset + spec.size() - 1] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_TRUE(engine.gradient(damaged, batch, weights).isnan().any().item<bool>()) << spec.name;
    EXPECT_TRUE(engine.trace(damaged[0], batch, queries, 0).u_jacobian.isnan().any().item<bool>())
        << spec.name;
  }
}

/// After NaN has gone through `used` it gives what a new engine gives. good [1, P], weights [1, b].
inline void expect_nothing_kept(const Engine& used, const std::function<std::unique_ptr<Engine>()>& fresh,
                                const Batch& batch, const at::Tensor& good, const at::Tensor& weights) {
  const at::Tensor nan = good * std::numeric_limits<double>::quiet_NaN();
  used.gradient(nan, batch, weights);
  EXPECT_TRUE(same_bits(used.gradient(good, batch, weights), fresh()->gradient(good, batch, weights)));
  for (const double kink : {0.0, 0.3}) {
    used.trace(nan[0], batch, good, kink);
    used.trace(good[0], batch, nan, kink);
    EXPECT_TRUE(
        same_trace(used.trace(good[0], batch, good, kink), fresh()->trace(good[0], batch, good, kink)));
  }
}

}  // namespace whence::test
