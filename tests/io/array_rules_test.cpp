// Arrays that contradict what their kind of file says are refused by name, before anyone reads them.
#include "whence/io/array_rules.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "whence/core/error.h"

#include "io/folder.h"

namespace whence {
namespace {

using testing::message_of;

const ArrayRules rules{{"value", {at::kFloat, at::kDouble}, {"M", "N"}, Numbers::finite},
                       {"place", {at::kLong}, {"2", "N"}, Numbers::any, "M"},
                       {"step", {at::kLong}, {"T"}, Numbers::ascending},
                       {"width", {at::kDouble}, {"T"}, Numbers::not_negative, "", 0, false},
                       {"count", {at::kLong}, {"1"}, Numbers::positive, "", 0, false}};

class Rules : public testing::OwnFolder {
 protected:
  /// A file with these arrays, the good one where none is given.
  H5File file(const std::map<std::string, at::Tensor>& changes = {}) const {
    std::map<std::string, at::Tensor> arrays{{"value", at::ones({3, 4}, at::kDouble)},
                                             {"place", at::full({2, 4}, 2, at::kLong)},
                                             {"step", at::tensor({0, 5, 9}, at::kLong)}};
    for (const auto& [name, values] : changes) arrays[name] = values;
    {
      const H5File made = H5File::create(path("a.h5"));
      for (const auto& [name, values] : arrays)
        if (values.defined()) made.put(name, values);
    }
    return H5File::open_to_read(path("a.h5"));
  }
  std::string shapes(const std::map<std::string, at::Tensor>& changes, Sizes known = {}) const {
    return message_of([&] { check_shapes(file(changes), rules, known); });
  }
  std::string contents(const std::map<std::string, at::Tensor>& changes) const {
    const H5File opened = file(changes);
    return message_of([&] { check_contents(opened, rules, check_shapes(opened, rules)); });
  }
  std::string about(const std::string& text) const { return path("a.h5") + ": " + text; }
};

TEST_F(Rules, GiveTheSizesOfAGoodFile) {
  EXPECT_EQ(check_shapes(file(), rules), (Sizes{{"M", 3}, {"N", 4}, {"T", 3}}));
  EXPECT_EQ(shapes({{"value", at::ones({3, 4}, at::kFloat)}}), "no error");
  EXPECT_EQ(shapes({}, {{"M", 3}}), "no error");
  EXPECT_EQ(contents({}), "no error");
  EXPECT_EQ(contents({{"width", at::zeros({3}, at::kDouble)}, {"count", at::ones({1}, at::kLong)}}),
            "no error");
}

TEST_F(Rules, RefuseOtherShapesTypesAndSizes) {
  EXPECT_EQ(shapes({{"value", at::scalar_tensor(1, at::kDouble)}}),
            about("value is float64 [], not float32 or float64 [M, N]; the file is damaged"));
  EXPECT_EQ(shapes({{"place", at::zeros({2, 5}, at::kLong)}}),
            about("place is int64 [2, 5], not int64 [2, N=4]; the file is damaged"));
  EXPECT_EQ(shapes({{"place", at::zeros({3, 4}, at::kLong)}}),
            about("place is int64 [3, 4], not int64 [2, N=4]; the file is damaged"));
  EXPECT_EQ(shapes({{"place", at::zeros({2, 4}, at::kInt)}}),
            about("place is int32 [2, 4], not int64 [2, N=4]; the file is damaged"));
  EXPECT_EQ(shapes({}, {{"M", 7}}),
            about("value is float64 [3, 4], not float32 or float64 [M=7, N]; the file is damaged"));
  EXPECT_EQ(shapes({{"step", at::Tensor()}}).find(about("cannot find the array step")), 0u);
  EXPECT_NE(shapes({{"count", at::ones({2}, at::kLong)}}), "no error")
      << "optional ones are checked where they are";
}

TEST_F(Rules, RefuseNumbersThatCannotBe) {
  at::Tensor values = at::ones({3, 4}, at::kDouble);
  values[2][3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(contents({{"value", values}}),
            about("value holds nan, which is not a finite number; the file is damaged"));
  for (const std::int64_t wrong : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1000000000}, INT64_MIN}) {
    at::Tensor places = at::zeros({2, 4}, at::kLong);
    places[1][3] = wrong;
    EXPECT_EQ(contents({{"place", places}}), about("place holds " + std::to_string(wrong) +
                                                   ", which is not between 0 and 2; the file is damaged"));
  }
  for (const at::Tensor& steps : {at::tensor({0, 5, 5}, at::kLong), at::tensor({0, 9, 5}, at::kLong)})
    EXPECT_NE(contents({{"step", steps}}).find("but ascends"), std::string::npos);
  EXPECT_NE(contents({{"width", at::full({3}, -1, at::kDouble)}}), "no error");
  EXPECT_NE(contents({{"width", at::full({3}, std::numeric_limits<double>::infinity(), at::kDouble)}}),
            "no error");
  EXPECT_NE(contents({{"count", at::zeros({1}, at::kLong)}}), "no error");
}

TEST_F(Rules, CallDamageDamage) {
  const at::Tensor values = at::arange(12, at::kDouble).add(1.0 / 3).view({3, 4});
  file({{"value", values}});
  testing::flip_bit_in(path("a.h5"),
                       std::string(static_cast<const char*>(values.data_ptr()), values.nbytes()));
  const H5File opened = H5File::open_to_read(path("a.h5"));
  EXPECT_EQ(message_of([&] { check_contents(opened, rules, check_shapes(opened, rules)); }),
            about("value does not match its checksum; the file is damaged"));
}

}  // namespace
}  // namespace whence
