// An array that ranks write in parts is the one that a single rank would have written, checksum and all.
#include "whence/io/parts.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/io/checksum.h"

#include "io/folder.h"

namespace whence {
namespace {

using testing::message_of;

const Schema schema{"whence.test_parts", 1};

class Parts : public testing::SharedFolder {
 protected:
  // Written in so many slabs along each axis, dealt to the ranks from the last one on.
  void write(const at::Tensor& values, const Shape& cuts) const {
    const Shape shape = values.sizes().vec();
    write_artifact_together(path("a.h5"), schema, {}, 0, world_, [&](const H5File& file) {
      ArrayInParts array(file, "a", values.scalar_type(), shape, world_);
      world_.on_every_rank([&] {
        std::int64_t slabs = 1;
        for (const std::int64_t cut : cuts) slabs *= cut;
        for (std::int64_t slab = slabs - 1; slab >= 0; --slab) {
          if (slab % world_.size() != world_.rank()) continue;
          at::Tensor part = values;
          Shape offset;
          std::int64_t rest = slab;
          for (std::size_t axis = 0; axis < shape.size(); ++axis) {
            const Range range = part_of(shape[axis], cuts[axis], rest % cuts[axis]);
            rest /= cuts[axis];
            offset.push_back(range.begin);
            part = part.narrow(static_cast<std::int64_t>(axis), range.begin, range.size());
          }
          array.write(part.contiguous(), offset);
        }
      });
      array.seal();
    });
  }
};

TEST_F(Parts, MakeUpTheWholeHoweverItIsCut) {
  const at::Tensor values = at::arange(5 * 4 * 6, at::kDouble).view({5, 4, 6}).mul(1.0 / 3).neg();
  for (const Shape& cuts : std::vector<Shape>{
           {1, 1, 1}, {5, 1, 1}, {1, 2, 1}, {1, 1, 3}, {2, 2, 2}, {5, 4, 6}, {7, 1, 1}, {1, 4, 5}}) {
    write(values, cuts);
    const H5File file = open_artifact(path("a.h5"), schema);
    EXPECT_TRUE(file.verified("a").equal(values)) << cuts;
    EXPECT_EQ(file.array("a").sealed_crc(), crc32_of(values)) << cuts;
    world_.barrier();
  }
}

TEST_F(Parts, OfOtherTypesAndSizesToo) {
  for (const at::Tensor& values :
       {at::arange(7, at::kLong), at::arange(6, at::kFloat).view({2, 3}), at::zeros({0, 3}, at::kDouble)}) {
    write(values, Shape(values.dim(), 2));
    EXPECT_TRUE(open_artifact(path("a.h5"), schema).verified("a").equal(values));
    world_.barrier();
  }
}

TEST_F(Parts, ThatOverlapOrLeaveAGapAreAnError) {
  const at::Tensor two = at::ones({2}, at::kDouble);
  const auto written_at = [&](std::vector<std::int64_t> begins) {
    return message_of([&] {
      write_artifact_together(path("a.h5"), schema, {}, 0, world_, [&](const H5File& file) {
        ArrayInParts array(file, "a", at::kDouble, {4}, world_);
        world_.on_every_rank([&] {
          for (std::size_t i = 0; i < begins.size(); ++i)
            if (static_cast<int>(i) % world_.size() == world_.rank()) array.write(two, {begins[i]});
        });
        array.seal();
      });
    });
  };
  EXPECT_EQ(written_at({2, 0}), "no error");
  for (const auto& wrong :
       std::vector<std::vector<std::int64_t>>{{}, {0}, {2}, {0, 1}, {0, 2, 2}, {0, 0}, {0, 0, 2}}) {
    const std::string said = written_at(wrong);
    EXPECT_NE(said.find("the parts of a that ranks have written are not the whole of it"), std::string::npos)
        << said;
  }
}

TEST_F(Parts, ManySmallOnesBesideWhatAllHold) {
  write_artifact_together(path("b.h5"), schema, {{"what", "both"}}, 0, world_, [&](const H5File& file) {
    put_together(file, "all", at::arange(3, at::kDouble).flip({0}), world_);
    ArrayInParts array(file, "mine", at::kLong, {world_.size(), 2}, world_);
    world_.on_every_rank([&] {
      array.write(at::full({1, 2}, world_.rank(), at::kLong), {world_.rank(), 0});
    });
    array.seal();
  });
  const H5File file = open_artifact(path("b.h5"), schema);
  EXPECT_EQ(file.attribute("what"), "both");
  EXPECT_EQ(file.verified_reals("all"), (std::vector<double>{2, 1, 0}));
  EXPECT_TRUE(file.verified("mine").select(1, 1).equal(at::arange(world_.size(), at::kLong)));
}

}  // namespace
}  // namespace whence
