// What is written comes back, and nothing else is let in or out.
#include "whence/io/hdf5.h"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include <ATen/ATen.h>

#include "whence/core/error.h"

#include "io/folder.h"

namespace whence {
namespace {

using testing::message_of;

class H5 : public testing::OwnFolder {};

at::Tensor sample(at::ScalarType dtype, const Shape& shape) {
  const at::Tensor values = at::empty(shape, at::kDouble);
  return at::arange(values.numel(), at::kDouble).mul(-1.25).add(3).to(dtype).view(shape);
}

constexpr at::ScalarType all_types[] = {at::kFloat, at::kDouble, at::kLong, at::kInt};

TEST_F(H5, ArraysOfEveryTypeAndShapeComeBack) {
  const std::vector<Shape> shapes{{1}, {7}, {3, 4}, {2, 3, 4}, {0}, {0, 3}};
  {
    const H5File file = H5File::create(path("a.h5"));
    for (const at::ScalarType dtype : all_types)
      for (std::size_t i = 0; i < shapes.size(); ++i)
        file.put(std::string(at::toString(dtype)) + std::to_string(i), sample(dtype, shapes[i]));
  }
  const H5File file = H5File::open_to_read(path("a.h5"));
  for (const at::ScalarType dtype : all_types)
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const H5Array array = file.array(std::string(at::toString(dtype)) + std::to_string(i));
      EXPECT_EQ(array.dtype(), dtype);
      EXPECT_EQ(array.shape(), shapes[i]);
      EXPECT_TRUE(at::equal(array.read(), sample(dtype, shapes[i]))) << at::toString(dtype) << i;
      array.verify();
    }
}

// HDF5 1.10 frees what is not its own when it finds a long list of arrays damaged that is not in the root's
// header.
TEST_F(H5, ManyArraysAreListedInTheRootsHeader) {
  {
    const H5File file = H5File::create(path("many.h5"));
    for (int i = 0; i < 40; ++i) file.put("array" + std::to_string(i), sample(at::kFloat, {1}));
  }
  EXPECT_EQ(H5File::open_to_read(path("many.h5")).arrays().size(), 40u);
  {
    const H5Handle file(H5Fopen(path("many.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    H5G_info_t group{};
    ASSERT_GE(H5Gget_info(file.get(), &group), 0);
    EXPECT_EQ(group.storage_type, H5G_STORAGE_TYPE_COMPACT);
  }
  const std::string whole = testing::bytes_of(path("many.h5"));
  for (std::size_t at = whole.find("array0"); at < whole.size(); at += whole.size() / 150) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~damaged[at]);
    testing::write_bytes(path("damaged.h5"), damaged);
    try {
      H5File::open_to_read(path("damaged.h5")).arrays();
    } catch (const Error&) {
    }
  }
}

TEST_F(H5, ASingleNumberComesBack) {
  const H5File file = H5File::create(path("a.h5"));
  file.put("a", at::scalar_tensor(2.5, at::kDouble));
  EXPECT_EQ(file.array("a").shape(), Shape{});
  EXPECT_EQ(file.array("a").read().item<double>(), 2.5);
}

TEST_F(H5, NumbersComeBackBitForBit) {
  const at::Tensor reals = at::tensor({-0.0, 5e-324, 1.7976931348623157e308, 1.0 / 3}, at::kDouble);
  const at::Tensor integers = at::tensor({INT64_MIN, INT64_MAX, std::int64_t{-1}}, at::kLong);
  const H5File file = H5File::create(path("a.h5"));
  file.put("reals", reals);
  file.put("integers", integers);
  EXPECT_TRUE(at::equal(file.array("reals").read().view(at::kLong), reals.view(at::kLong)));
  EXPECT_TRUE(at::equal(file.array("integers").read(), integers));
}

TEST_F(H5, SlabsLandWhereTheyBelong) {
  const H5File file = H5File::create(path("a.h5"));
  const H5Array array = file.create_array("a", at::kDouble, {5, 6}, Fill::zeros);
  EXPECT_TRUE(at::equal(array.read(), at::zeros({5, 6}, at::kDouble)));
  at::Tensor expected = at::zeros({5, 6}, at::kDouble);
  const at::Tensor block = sample(at::kDouble, {2, 3});
  array.write(block, {1, 2});
  expected.slice(0, 1, 3).slice(1, 2, 5).copy_(block);
  array.write(at::ones({1, 1}, at::kDouble), {4, 5});
  expected[4][5] = 1;
  EXPECT_TRUE(at::equal(array.read(), expected));
  EXPECT_TRUE(at::equal(array.read({1, 1}, {3, 4}), expected.slice(0, 1, 4).slice(1, 1, 5)));
  EXPECT_TRUE(at::equal(array.read({4, 0}, {1, 6}), expected.slice(0, 4, 5)));
}

TEST_F(H5, EmptySlabsAreAllowedAndChangeNothing) {
  const H5File file = H5File::create(path("a.h5"));
  const H5Array array = file.create_array("a", at::kLong, {2, 3}, Fill::zeros);
  array.write(at::empty({0, 3}, at::kLong), {2, 0});
  array.write(at::empty({2, 0}, at::kLong), {0, 3});
  EXPECT_EQ(array.read({2, 0}, {0, 3}).sizes(), at::IntArrayRef({0, 3}));
  EXPECT_TRUE(at::equal(array.read(), at::zeros({2, 3}, at::kLong)));
}

TEST_F(H5, SlabsOutsideAreRefused) {
  const H5File file = H5File::create(path("a.h5"));
  const H5Array array = file.create_array("a", at::kDouble, {2, 3}, Fill::zeros);
  const std::string message = path("a.h5") + ": a slab outside of a";
  const at::Tensor row = at::ones({1, 3}, at::kDouble);
  EXPECT_EQ(message_of([&] { array.write(row, {2, 0}); }), message);
  EXPECT_EQ(message_of([&] { array.write(row, {0, 1}); }), message);
  EXPECT_EQ(message_of([&] { array.write(row, {-1, 0}); }), message);
  EXPECT_EQ(message_of([&] { array.write(row, {0}); }), message);
  EXPECT_EQ(message_of([&] { array.write(row[0], {0, 0}); }), message);
  EXPECT_EQ(message_of([&] { array.read({0, 0}, {3, 3}); }), message);
  EXPECT_EQ(message_of([&] { array.read({1, 0}, {1, 4}); }), message);
  EXPECT_EQ(message_of([&] { array.read({3, 0}, {0, 3}); }), message);
  EXPECT_TRUE(at::equal(array.read(), at::zeros({2, 3}, at::kDouble)));
}

TEST_F(H5, SlabsGoInPiecesOfAnySize) {
  const at::Tensor values = sample(at::kDouble, {4, 5, 6});
  for (const std::int64_t piece : {1, 8, 24, 48, 100, 240, 500, 960, 10000}) {
    const H5File file = H5File::create(path("a.h5"));
    const H5Array array = file.create_array("a", at::kDouble, {6, 7, 8}, Fill::zeros);
    array.write(values, {1, 1, 2}, piece);
    at::Tensor expected = at::zeros({6, 7, 8}, at::kDouble);
    expected.slice(0, 1, 5).slice(1, 1, 6).slice(2, 2, 8).copy_(values);
    EXPECT_TRUE(at::equal(array.read(), expected)) << piece;
    EXPECT_TRUE(at::equal(array.read({1, 1, 2}, {4, 5, 6}, piece), values)) << piece;
    EXPECT_TRUE(at::equal(array.read({0, 0, 0}, {6, 7, 8}, piece), expected)) << piece;
    EXPECT_EQ(array.read({1, 0, 2}, {4, 0, 6}, piece).numel(), 0) << piece;
  }
}

TEST_F(H5, ContentIsLookedThroughInItsOrder) {
  const at::Tensor values = at::arange((std::int64_t{1} << 22) + 5, at::kDouble);  // one piece and a bit
  const H5File file = H5File::create(path("a.h5"));
  file.put("a", values);
  std::vector<at::Tensor> pieces;
  file.array("a").look_through([&](const at::Tensor& piece) { pieces.push_back(piece); });
  EXPECT_EQ(pieces.size(), 2u);
  EXPECT_TRUE(at::equal(at::cat(pieces), values));
  file.array("a").verify();
}

TEST_F(H5, ValuesOfAnotherTypeOrLayoutAreRefused) {
  const H5File file = H5File::create(path("a.h5"));
  const H5Array array = file.create_array("a", at::kDouble, {2, 2}, Fill::zeros);
  EXPECT_ANY_THROW(array.write(at::ones({2, 2}, at::kFloat), {0, 0}));
  EXPECT_ANY_THROW(array.write(at::ones({2, 2}, at::kDouble).t(), {0, 0}));
  EXPECT_NE(message_of([&] { file.put("bytes", at::ones({2}, at::kByte)); }), "no error");
}

TEST_F(H5, PutTakesTransposedValues) {
  const at::Tensor values = sample(at::kDouble, {3, 4}).t();
  const H5File file = H5File::create(path("a.h5"));
  file.put("a", values);
  EXPECT_TRUE(at::equal(file.array("a").read(), values));
}

TEST_F(H5, ArraysAreListedAndFoundByName) {
  const H5File file = H5File::create(path("a.h5"));
  EXPECT_EQ(file.arrays(), std::vector<std::string>{});
  file.put("b", at::ones({1}));
  file.put("a", at::ones({1}));
  EXPECT_EQ(file.arrays(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(file.has("a"));
  EXPECT_FALSE(file.has("c"));
  EXPECT_EQ(message_of([&] { file.array("c"); }).find(path("a.h5") + ": cannot find the array c ("), 0u);
  EXPECT_EQ(message_of([&] { file.put("a", at::ones({1})); }).find(path("a.h5") + ": cannot create a ("), 0u);
}

TEST_F(H5, TextAttributesComeBack) {
  const std::vector<std::string> texts{"",           "plain",      "two\nlines = 2\n",
                                       "  spaces  ", "ünïcode 数", std::string(60000, 'x')};
  {
    const H5File file = H5File::create(path("a.h5"));
    for (std::size_t i = 0; i < texts.size(); ++i) file.set_attribute(std::to_string(i), texts[i]);
  }
  const H5File file = H5File::open_to_read(path("a.h5"));
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(file.attribute(std::to_string(i)), texts[i]) << i;
  EXPECT_EQ(file.attributes(), (std::vector<std::string>{"0", "1", "2", "3", "4", "5"}));
  EXPECT_EQ(
      message_of([&] { file.attribute("none"); }).find(path("a.h5") + ": cannot find the attribute none ("),
      0u);
}

TEST_F(H5, ManyAttributesComeBack) {
  const H5File file = H5File::create(path("a.h5"));
  for (int i = 10; i < 40; ++i) file.set_attribute(std::to_string(i), std::string(i, 'a'));
  ASSERT_EQ(file.attributes().size(), 30u);
  for (int i = 10; i < 40; ++i) EXPECT_EQ(file.attribute(std::to_string(i)), std::string(i, 'a'));
}

TEST_F(H5, AFlippedBitIsFoundByVerify) {
  const at::Tensor values = at::tensor({1.0 / 3, 2.0 / 3, 1.0 / 7}, at::kDouble);
  H5File::create(path("a.h5")).put("a", values);
  H5File::open_to_read(path("a.h5")).array("a").verify();
  testing::flip_bit_in(path("a.h5"),
                       std::string(static_cast<const char*>(values.data_ptr()), values.nbytes()));
  const H5File file = H5File::open_to_read(path("a.h5"));
  EXPECT_FALSE(at::equal(file.array("a").read(), values));
  EXPECT_EQ(message_of([&] { file.array("a").verify(); }),
            path("a.h5") + ": a does not match its checksum; the file is damaged");
}

// Numbers are handed out only after their checksum was found right, whichever way they are asked for.
TEST_F(H5, VerifiedReadingNoticesWhatWasChanged) {
  const at::Tensor integers = at::tensor({1234567, 7654321}, at::kLong);
  const at::Tensor reals = at::tensor({1.0 / 3, 1.0 / 7}, at::kDouble);
  {
    const H5File file = H5File::create(path("a.h5"));
    file.put("integers", integers);
    file.put("reals", reals);
  }
  for (const at::Tensor& values : {integers, reals})
    testing::flip_bit_in(path("a.h5"),
                         std::string(static_cast<const char*>(values.data_ptr()), values.nbytes()));
  const H5File file = H5File::open_to_read(path("a.h5"));
  EXPECT_NO_THROW(file.array("integers").read()) << "it reads without looking";
  const auto wrong = [&](const std::string& name) {
    return path("a.h5") + ": " + name + " does not match its checksum";
  };
  EXPECT_EQ(message_of([&] { file.verified("integers"); }).find(wrong("integers")), 0u);
  EXPECT_EQ(message_of([&] { file.verified_integers("integers"); }).find(wrong("integers")), 0u);
  EXPECT_EQ(message_of([&] { file.verified_reals("reals"); }).find(wrong("reals")), 0u);
}

TEST_F(H5, AnUnsealedArrayDoesNotVerify) {
  const H5File file = H5File::create(path("a.h5"));
  const H5Array array = file.create_array("a", at::kInt, {2}, Fill::zeros);
  EXPECT_EQ(message_of([&] { array.verify(); }).find(path("a.h5") + ": cannot find a checksum of a ("), 0u);
  array.seal();
  array.verify();
  array.write(at::ones({2}, at::kInt), {0});
  EXPECT_NE(message_of([&] { array.verify(); }), "no error");
}

// Runs are compared byte for byte; times in a file have seconds.
class EqualH5 : public H5 {
 protected:
  std::string written() const {
    {
      const H5File file = H5File::create(path("a.h5"));
      file.set_attribute("text", "same");
      file.put("a", sample(at::kFloat, {3, 4}));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    return testing::bytes_of(path("a.h5"));
  }
};

TEST_F(EqualH5, ContentMakesEqualFiles) { EXPECT_TRUE(written() == written()); }

TEST_F(EqualH5, ContentMakesEqualArrays) {
  // Behind the root's object header come the array's and its values.
  const auto after_root = [](const std::string& bytes) {
    return bytes.substr(bytes.find("OHDR", bytes.find("OHDR") + 1));
  };
  EXPECT_TRUE(after_root(written()) == after_root(written()));
}

TEST_F(H5, ReadingLeavesTheFileAndWritingChangesIt) {
  H5File::create(path("a.h5")).put("a", at::zeros({2}, at::kDouble));
  EXPECT_NE(message_of([&] {
              H5File::open_to_read(path("a.h5")).array("a").write(at::ones({2}, at::kDouble), {0});
            }),
            "no error");
  H5File::open_to_write(path("a.h5")).array("a").write(at::ones({2}, at::kDouble), {0});
  EXPECT_TRUE(at::equal(H5File::open_to_read(path("a.h5")).array("a").read(), at::ones({2}, at::kDouble)));
}

}  // namespace
}  // namespace whence
