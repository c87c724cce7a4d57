// CIFAR-10 records, resizing, class filter, planted and removed instances.
#include "whence/data/images.h"

#include <algorithm>
#include <gtest/gtest.h>

#include <ATen/ops/upsample_bilinear2d.h>

#include "whence/core/error.h"
#include "whence/data/dataset.h"

#include "data/idx_files.h"
#include "support/numbers.h"

namespace whence {
namespace {

using testing::Bytes;
using testing::FolderTest;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;

Bytes record(std::uint8_t label, std::uint8_t first) {
  Bytes bytes(3073, first);
  bytes[0] = label;
  for (std::size_t i = 1; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(first + 3 * i + i / 100);
  return bytes;
}

DataOptions cifar(const std::string& files, std::int64_t instances) {
  DataOptions options{"cifar10:" + files, instances, 0, 1, at::kDouble};
  options.pixels = PixelRange::zero_to_one;
  return options;
}

class Images : public FolderTest {};

TEST_F(Images, BilinearResizingAgreesWithLibTorch) {
  const at::Tensor planes = test::normals({5, 7, 9}, 1);
  for (const auto& [height, width] :
       {std::pair<std::int64_t, std::int64_t>{14, 18}, {64, 64}, {7, 9}, {5, 20}}) {
    const at::Tensor expected = at::upsample_bilinear2d(planes.unsqueeze(0), {height, width}, false)[0];
    EXPECT_LT(test::relative_difference(resize_bilinear(planes, height, width), expected), 1e-14);
  }
  const at::Tensor single = resize_bilinear(planes.to(at::kFloat), 64, 64);
  EXPECT_EQ(single.scalar_type(), at::kFloat);
  EXPECT_LT(test::relative_difference(single.to(at::kDouble), resize_bilinear(planes, 64, 64)), 1e-6);
}

TEST_F(Images, ReadsRecordsOfSeveralFilesPlainAndPacked) {
  const std::string a = write("a.bin", record(3, 10) + record(1, 20)),
                    b = write_gzip("b.bin.gz", record(7, 30));
  const DataSplit data = load_data(cifar(a + "," + b, 3));
  ASSERT_EQ(data.train.size(), 3);
  EXPECT_EQ(data.train.shape, (std::vector<std::int64_t>{3, 32, 32}));
  const std::vector<Bytes> records = {record(3, 10), record(1, 20), record(7, 30)};
  for (std::int64_t i = 0; i < 3; ++i) {
    const Bytes& expected = records[data.train.ids[i]];
    EXPECT_EQ(data.train.labels[i].item<std::int64_t>(), expected[0]);
    for (const std::int64_t pixel : {0, 1, 1024, 3071})
      EXPECT_DOUBLE_EQ(data.train.instances.all()[i][pixel].item<double>(), expected[1 + pixel] / 255.0);
  }
}

TEST_F(Images, FiltersAClassAndResizes) {
  const std::string file = write("a.bin", record(3, 10) + record(1, 20) + record(3, 40));
  DataOptions options = cifar(file, 2);
  options.class_filter = 3;
  options.image_size = 64;
  const Dataset data = load_data(options).train;
  std::vector<std::int64_t> ids = data.ids;
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(data.shape, (std::vector<std::int64_t>{3, 64, 64}));
  options.image_size = 0;
  const Dataset as_they_are = load_data(options).train;
  EXPECT_TRUE(data.instances.all().equal(
      resize_bilinear(as_they_are.instances.all().view({6, 32, 32}), 64, 64).view({2, -1})));
  options.class_filter = 5;
  EXPECT_NE(message_of<UsageError>([&] { load_data(options); }).find("--class-filter"), std::string::npos);
}

TEST_F(Images, RefusesWhatIsNotCifarRecords) {
  Bytes cut = record(3, 10) + record(1, 20);
  cut.pop_back();
  EXPECT_NE(
      message_of<Error>([&] { load_data(cifar(write("cut.bin", cut), 1)); }).find("ends inside record 1"),
      std::string::npos);
  EXPECT_NE(
      message_of<Error>([&] { load_data(cifar(write("label.bin", record(10, 1)), 1)); }).find("label 10"),
      std::string::npos);
  EXPECT_NE(message_of<Error>([&] { load_data(cifar(write("none.bin", {}), 1)); }).find("no records"),
            std::string::npos);
  EXPECT_NE(message_of<Error>([&] { load_data(cifar(path("missing.bin"), 1)); }).find("missing.bin"),
            std::string::npos);
}

class Planted : public FolderTest {
 protected:
  DataOptions options() const {
    DataOptions wanted{"idx:" + write("images", idx_header({6, 2, 2}) + pattern(24)) + "," +
                           write("labels", idx_header({6}) + Bytes{0, 1, 2, 3, 4, 5}),
                       4, 2, 1, at::kDouble};
    wanted.plant = "idx:" + write("foreign", idx_header({5, 2, 2}) + Bytes(20, 255)) + ":3";
    return wanted;
  }
};

TEST_F(Planted, ForeignInstancesFollowAndAreKnown) {
  const DataSplit data = load_data(options());
  ASSERT_EQ(data.train.size(), 7);
  EXPECT_EQ(data.train.planted, 3);
  for (std::int64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(data.train.ids[i] >= first_planted_id, i >= 4);
    EXPECT_EQ(data.train.labels[i].item<std::int64_t>() == -1, i >= 4);
    EXPECT_EQ(data.train.instances.all()[i].sum().item<double>() == 4, i >= 4);
  }
  EXPECT_EQ(data.held_out.size(), 2);
}

TEST_F(Planted, ListedInstancesAreTakenOut) {
  DataOptions wanted = options();
  const DataSplit all = load_data(wanted);
  const std::string list = std::to_string(all.train.ids[1]) + "\n" + std::to_string(all.train.ids[5]) + "\n";
  wanted.without = write("ids", Bytes(list.begin(), list.end()));
  const DataSplit data = load_data(wanted);
  EXPECT_EQ(data.train.size(), 5);
  EXPECT_EQ(data.train.planted, 2);
  EXPECT_EQ(data.train.ids[1], all.train.ids[2]);
  EXPECT_TRUE(data.train.instances.all()[4].equal(all.train.instances.all()[6]));
  EXPECT_TRUE(data.held_out.instances.all().equal(all.held_out.instances.all()));
  wanted.without = write("ids", Bytes{'9', '9'});
  EXPECT_NE(message_of<UsageError>([&] { load_data(wanted); }).find("id 99"), std::string::npos);
}

TEST_F(Planted, ComeFromFilesOfAnyKindAndAreTurnedByThemselves) {
  DataOptions wanted = options();
  const Bytes records = [] {
    Bytes bytes;
    for (int record = 0; record < 3; ++record) {
      bytes.push_back(static_cast<Bytes::value_type>(record));
      for (const auto byte : pattern(3072)) bytes.push_back(byte);
    }
    return bytes;
  }();
  wanted.source = "cifar10:" + write("records.bin", records);
  wanted.instances = 2;
  wanted.held_out = 0;
  wanted.plant = wanted.source + ":1";
  const Dataset same = load_data(wanted).train;
  wanted.plant_orientation = Orientation::transpose;
  const Dataset turned = load_data(wanted).train;
  const auto images = [](const Dataset& set) { return set.instances.all().view({3, 3, 32, 32}); };
  EXPECT_TRUE(images(turned)[2].equal(images(same)[2].transpose(-1, -2)));
  EXPECT_FALSE(images(turned)[2].equal(images(same)[2]));
  EXPECT_TRUE(images(turned)[0].equal(images(same)[0]));
  // A run that resizes its images resizes the planted ones.
  wanted.image_size = 16;
  const Dataset small = load_data(wanted).train;
  EXPECT_EQ(small.shape, (std::vector<std::int64_t>{3, 16, 16}));
  EXPECT_EQ(small.size(), 3);
  // Which rows of the run's own source train says nothing of the planted ones.
  wanted.train_rows = "1:3";
  EXPECT_EQ(load_data(wanted).train.ids[2], turned.ids[2]);
}

TEST_F(Planted, RefusesWhatCannotBePlanted) {
  DataOptions wanted = options();
  const std::string other = write("other", idx_header({5, 3, 3}) + pattern(45));
  for (const std::string& plant :
       std::vector<std::string>{"idx:", "idx:" + path("foreign"), "idx:" + path("foreign") + ":6",
                                "idx:" + other + ":1", "csv:" + other + ":1", "normal2d:3", "six-clusters:3",
                                "x:" + other + ":1", "idx:" + other + ":1,2"}) {
    wanted.plant = plant;
    EXPECT_NE(message_of<Error>([&] { load_data(wanted); }).find("--data"), 0u) << plant;
    EXPECT_FALSE(message_of<Error>([&] { load_data(wanted); }).empty()) << plant;
  }
  wanted.plant = "csv:" + write("points.csv", Bytes{'.', '5', ',', '2', '\n', '3', ',', '4', '\n'}) + ":1";
  EXPECT_NE(message_of<Error>([&] { load_data(wanted); }).find("shape [2]"), std::string::npos);
  wanted.plant_orientation = Orientation::transpose;
  EXPECT_NE(message_of<UsageError>([&] { load_data(wanted); }).find("--plant-orient transpose"),
            std::string::npos);
  wanted.plant = "";
  EXPECT_NE(message_of<UsageError>([&] { load_data(wanted); }).find("--plant-orient"), std::string::npos);
}

}  // namespace
}  // namespace whence
