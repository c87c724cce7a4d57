// Truths that are not of one quantity with what they are held against.
#include "whence/retrain/truth.h"

#include <gtest/gtest.h>

#include <ATen/ops/zeros.h>

#include "io/folder.h"

namespace whence {
namespace {

CounterfactualTruth truth_of(const std::string& metric, const std::string& file) {
  CounterfactualTruth truth;
  truth.metrics = {metric};
  truth.epochs_back = {1};
  truth.influence = truth.baseline = at::zeros({1, 1, 1}, at::kDouble);
  truth.distance = at::zeros({1}, at::kDouble);
  truth.classifier = "of " + file;
  truth.file = file;
  truth.target_ids = truth.target_positions = {0};
  return truth;
}

TEST(Truth, AnotherClassifierIsComplainedOfByTheNameOfItsFile) {
  InfluenceEstimates estimates{{"fid"}, {0.0}, {1}, {0}, at::zeros({1, 1, 1, 1}, at::kDouble), {}};
  const CounterfactualTruth named = truth_of("fid", "counterfactual-named.h5");
  const std::string message = testing::message_of([&] { paired(estimates, named); });
  EXPECT_NE(message.find("influence.h5 and by another in counterfactual-named.h5"), std::string::npos)
      << message;
  estimates.classifier = named.classifier;
  EXPECT_EQ(paired(estimates, named).size(), 1);
  CounterfactualTruth half = truth_of("fid", "counterfactual-half.h5");
  half.weight = 0.5;
  EXPECT_NE(testing::message_of([&] {
              paired(named, half);
            }).find("counterfactual-named.h5 and by another in counterfactual-half.h5"),
            std::string::npos);
}

TEST(Truth, OverOtherDrawsItIsAnotherQuantity) {
  const CounterfactualTruth one = truth_of("all", "counterfactual.h5");
  CounterfactualTruth half = truth_of("all", "counterfactual-half.h5");
  half.weight = 0.5;
  EXPECT_EQ(noise_draws_of(half), "1");
  EXPECT_EQ(paired(one, half).size(), 1);
  half.settings = "replicas = 4\nnoise-draws = 3\n";
  EXPECT_EQ(noise_draws_of(half), "3");
  EXPECT_EQ(paired(one, half).size(), 0);
}

}  // namespace
}  // namespace whence
