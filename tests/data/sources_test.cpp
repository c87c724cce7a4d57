#include "whence/data/sources.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "whence/core/error.h"
#include "whence/data/idx.h"

#include "data/idx_files.h"

namespace whence {
namespace {

using testing::Bytes;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;

DataOptions options(const std::string& source, std::int64_t instances, std::int64_t held_out,
                    std::uint64_t seed = 1, at::ScalarType dtype = at::kDouble) {
  return {source, instances, held_out, seed, dtype};
}

template <typename T = double>
std::vector<T> values(const at::Tensor& tensor) {
  const T* begin = tensor.data_ptr<T>();
  return {begin, begin + tensor.numel()};
}

std::string refusal(const DataOptions& wanted) {
  return message_of<UsageError>([&wanted] { load_data(wanted); });
}

std::string failure(const DataOptions& wanted) {
  return message_of<Error>([&wanted] { load_data(wanted); });
}

TEST(Normal2d, HasItsMeanAndCovariance) {
  const double n = 100'000;
  const DataSplit data = load_data(options("normal2d", 100'000, 100'000));
  for (const Dataset* set : {&data.train, &data.held_out}) {
    const std::vector<double> points = values(set->instances.all());
    double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
    for (std::size_t i = 0; i < points.size(); i += 2) {
      const double x = points[i] - 1, y = points[i + 1] - 1;  // about the true mean
      sx += x, sy += y, sxx += x * x, syy += y * y, sxy += x * y;
    }
    EXPECT_NEAR(sx / n, 0, 5 * std::sqrt(1 / n));
    EXPECT_NEAR(sy / n, 0, 5 * std::sqrt(1 / n));
    EXPECT_NEAR(sxx / n, 1, 5 * std::sqrt(2 / n));  // Var(x^2) = 2
    EXPECT_NEAR(syy / n, 1, 5 * std::sqrt(2 / n));
    EXPECT_NEAR(sxy / n, 0.8, 5 * std::sqrt((1 + 0.8 * 0.8) / n));  // Var(x y) = 1 + 0.8^2
  }
}

TEST(Normal2d, HasShapesIdsAndNoLabels) {
  const DataSplit data = load_data(options("normal2d", 5, 3));
  EXPECT_EQ(data.train.instances.all().sizes(), (at::IntArrayRef{5, 2}));
  EXPECT_EQ(data.held_out.instances.all().sizes(), (at::IntArrayRef{3, 2}));
  EXPECT_EQ(data.train.ids, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(data.held_out.ids, (std::vector<std::int64_t>{0, 1, 2}));
  EXPECT_EQ(data.train.shape, (std::vector<std::int64_t>{2}));
  EXPECT_FALSE(data.train.labels.defined());
}

TEST(Normal2d, DependsOnSeedAndIndexAlone) {
  const DataSplit few = load_data(options("normal2d", 10, 10));
  const DataSplit many = load_data(options("normal2d", 1000, 20));
  std::vector<double> prefix = values(many.train.instances.all());
  prefix.resize(20);
  EXPECT_EQ(values(few.train.instances.all()), prefix);
  prefix = values(many.held_out.instances.all());
  prefix.resize(20);
  EXPECT_EQ(values(few.held_out.instances.all()), prefix);

  EXPECT_EQ(values(few.train.instances.all()),
            values(load_data(options("normal2d", 10, 10)).train.instances.all()));
  // Other streams share no point, not merely not all.
  const std::vector<double> first = values(few.train.instances.all()),
                            second = values(few.held_out.instances.all()),
                            third = values(load_data(options("normal2d", 10, 10, 2)).train.instances.all());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_NE(first[i], second[i]);
    EXPECT_NE(first[i], third[i]);
  }
}

TEST(Normal2d, Float32IsTheRoundedFloat64) {
  const std::vector<double> wide = values(load_data(options("normal2d", 10, 10)).train.instances.all());
  const at::Tensor narrow = load_data(options("normal2d", 10, 10, 1, at::kFloat)).train.instances.all();
  ASSERT_EQ(narrow.scalar_type(), at::kFloat);
  EXPECT_EQ(values<float>(narrow), std::vector<float>(wide.begin(), wide.end()));
}

// What may follow with "did you mean".
std::string without_hint(const std::string& message) {
  return message.substr(0, message.find(';', message.find("csv:FILE")));
}

TEST(LoadData, RefusesUnknownSourcesSizesAndTypes) {
  for (const std::string source :
       {"cifar",   "",          "mnist",     "mnist:",        "idx:",         "idx:a,",
        "idx:,b",  "idx:a,b,c", "normal2d:", "normal2d:x",    "csv",          "csv:",
        "csv:a,",  "csv:,b",    "csv:a,b,c", "six-clusters:", "hdf5",         "hdf5:",
        "hdf5::X", "hdf5:a:",   "hdf5:a:,y", "hdf5:a:X,",     "hdf5:a:X,y,z", "npy",
        "npy:",    "npy:a,",    "npy:a,b,c"})
    EXPECT_EQ(without_hint(refusal(options(source, 1, 1))),
              "--data: '" + source +
                  "' is not a source; there are normal2d, six-clusters, mnist:DIR, idx:IMAGES[,LABELS], "
                  "cifar10:FILE[,FILE], hdf5:FILE[:X[,LABELS]], npy:FILE[,LABELS] and csv:FILE[,COLUMN]");
  EXPECT_EQ(refusal(options("normal2d", 0, 1)), "--instances is 0, but must be at least 1");
  EXPECT_EQ(refusal(options("normal2d", 1, -3)), "--held-out is -3, but must be at least 0");
  EXPECT_EQ(refusal(options("normal2d", 1, 1, 1, at::kHalf)),
            "--dtype is Half, but data is float32 or float64");
}

TEST(Fingerprint, ChangesWithEveryPart) {
  const DataOptions wanted = options("normal2d", 4, 2);
  const auto fresh = [&wanted] { return load_data(wanted); };
  const DataSplit data = fresh();
  const std::string print = fingerprint(wanted, data);
  EXPECT_EQ(print.substr(0, print.size() - 8), "normal2d N=4 N'=2 dtype=float64 crc32=");
  EXPECT_EQ(print, fingerprint(wanted, fresh()));

  std::set<std::string> prints = {print};
  DataSplit other = fresh();
  other.train.ids[3] = 4;
  prints.insert(fingerprint(wanted, other));
  other = fresh();
  other.train.instances.all().data_ptr<double>()[7] += 1e-12;
  prints.insert(fingerprint(wanted, other));
  other = fresh();
  other.held_out.instances.all().data_ptr<double>()[3] += 1e-12;
  prints.insert(fingerprint(wanted, other));
  EXPECT_EQ(prints.size(), 4u);

  // Nothing held out must not hide the rest.
  other = fresh();
  other.held_out.instances = other.held_out.instances.all().narrow(0, 0, 0);
  prints = {fingerprint(wanted, other)};
  other.train.ids[3] = 4;
  prints.insert(fingerprint(wanted, other));
  EXPECT_EQ(prints.size(), 2u);
}

TEST(Fingerprint, IsTheCrcOfIdsAndInstances) {
  const DataOptions wanted = options("idx:anywhere", 2, 1, 1, at::kFloat);
  DataSplit data = load_data(options("normal2d", 2, 1, 1, at::kFloat));
  data.train.ids = {7, 3};
  const std::vector<float> train = {0.5f, -1, 2, 0.25f}, held_out = {1, -0.125f};
  std::copy(train.begin(), train.end(), data.train.instances.all().data_ptr<float>());
  std::copy(held_out.begin(), held_out.end(), data.held_out.instances.all().data_ptr<float>());
  // python3 -c 'import struct,zlib; print("%08x" % zlib.crc32(struct.pack("<2q6f", 7,3, .5,-1,2,.25,
  // 1,-.125)))'
  EXPECT_EQ(fingerprint(wanted, data), "idx N=2 N'=1 dtype=float32 crc32=0d03ed96");
}

// 20 images of 2 x 3 pixels: pixel i of row r is 2 (6 r + i), its label is 100 + r.
class IdxSource : public testing::FolderTest {
 protected:
  IdxSource() {
    for (int i = 0; i < 120; ++i) pixels_.push_back(static_cast<std::uint8_t>(2 * i));
    for (int r = 0; r < 20; ++r) labels_.push_back(static_cast<std::uint8_t>(100 + r));
    images_file_ = write("images", idx_header({20, 2, 3}) + pixels_);
    labels_file_ = write_gzip("labels.gz", idx_header({20}) + labels_);
    both_ = "idx:" + images_file_ + "," + labels_file_;
  }

  void expect_rows(const Dataset& set) const {
    ASSERT_EQ(static_cast<std::size_t>(set.size()), set.ids.size());
    const std::vector<double> got = values(set.instances.all());
    for (std::size_t j = 0; j < set.ids.size(); ++j)
      for (std::size_t i = 0; i < 6; ++i)
        EXPECT_EQ(got[6 * j + i], pixels_[6 * set.ids[j] + i] / 127.5 - 1.0) << "row " << j;
  }

  Bytes pixels_, labels_;
  std::string images_file_, labels_file_, both_;
};

TEST_F(IdxSource, GivesTheRowsItNames) {
  const DataSplit data = load_data(options(both_, 12, 8));
  EXPECT_EQ(data.train.instances.all().sizes(), (at::IntArrayRef{12, 6}));
  EXPECT_EQ(data.held_out.instances.all().sizes(), (at::IntArrayRef{8, 6}));
  for (const Dataset* set : {&data.train, &data.held_out}) {
    EXPECT_EQ(set->shape, (std::vector<std::int64_t>{2, 3}));
    expect_rows(*set);
    const std::vector<std::int64_t> labels = values<std::int64_t>(set->labels);
    ASSERT_EQ(labels.size(), set->ids.size());
    for (std::size_t j = 0; j < labels.size(); ++j) EXPECT_EQ(labels[j], 100 + set->ids[j]);
  }
}

TEST_F(IdxSource, SplitsAllRowsWithoutOverlapInSeededOrder) {
  const DataSplit data = load_data(options(both_, 12, 8));
  std::vector<std::int64_t> order = data.train.ids;
  order.insert(order.end(), data.held_out.ids.begin(), data.held_out.ids.end());
  EXPECT_EQ(std::set<std::int64_t>(order.begin(), order.end()).size(), 20u);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));

  const DataSplit fewer = load_data(options(both_, 5, 4));
  EXPECT_EQ(fewer.train.ids, std::vector<std::int64_t>(order.begin(), order.begin() + 5));
  EXPECT_EQ(fewer.held_out.ids, std::vector<std::int64_t>(order.begin() + 5, order.begin() + 9));
  EXPECT_NE(load_data(options(both_, 12, 8, 2)).train.ids, data.train.ids);
}

TEST_F(IdxSource, ScalesToTheWholeIntervalInBothTypes) {
  const std::string file = write("extremes", idx_header({2, 3}) + Bytes{0, 51, 255, 0, 51, 255});
  EXPECT_EQ(values(load_data(options("idx:" + file, 1, 1)).train.instances.all()),
            (std::vector<double>{-1, 51 / 127.5 - 1, 1}));
  const Dataset narrow = load_data(options("idx:" + file, 1, 1, 1, at::kFloat)).train;
  EXPECT_EQ(narrow.instances.all().scalar_type(), at::kFloat);
  EXPECT_EQ(values<float>(narrow.instances.all()),
            (std::vector<float>{-1, static_cast<float>(51 / 127.5 - 1), 1}));
  EXPECT_FALSE(narrow.labels.defined());
}

TEST_F(IdxSource, RefusesMoreRowsThanThereAre) {
  EXPECT_EQ(refusal(options(both_, 13, 8)),
            "--instances 13 and --held-out 8 together ask for more than the 20 "
            "rows of " +
                images_file_);
  refusal(options(both_, 21, 1));
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  refusal(options(both_, huge, huge));
  refusal(options(both_, 1, huge));
}

TEST_F(IdxSource, RefusesFilesThatDoNotFitEachOther) {
  const std::string short_labels = write("short", idx_header({19}) + pattern(19));
  EXPECT_EQ(failure(options("idx:" + images_file_ + "," + short_labels, 1, 1)),
            short_labels + " has 19 labels for the 20 rows of " + images_file_);
  EXPECT_EQ(failure(options("idx:" + images_file_ + "," + images_file_, 1, 1)),
            images_file_ + ": an IDX file of rank 3, but labels have rank 1");
  EXPECT_EQ(failure(options("idx:" + labels_file_, 1, 1)),
            labels_file_ + ": an IDX file of rank 1, but instances need rank 2 or more");
}

TEST_F(IdxSource, MnistFolderIsFoundPlainOrGzip) {
  EXPECT_EQ(
      failure(options("mnist:" + folder_, 1, 1)),
      folder_ + ": there is neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz in this folder");
  write_gzip("train-images-idx3-ubyte.gz", idx_header({20, 2, 3}) + pixels_);
  EXPECT_EQ(
      failure(options("mnist:" + folder_, 1, 1)),
      folder_ + ": there is neither train-labels-idx1-ubyte nor train-labels-idx1-ubyte.gz in this folder");
  write("train-labels-idx1-ubyte", idx_header({20}) + labels_);

  const DataSplit data = load_data(options("mnist:" + folder_, 12, 8));
  const DataSplit same = load_data(options(both_, 12, 8));
  EXPECT_EQ(data.train.ids, same.train.ids);
  expect_rows(data.train);
  EXPECT_EQ(values<std::int64_t>(data.held_out.labels), values<std::int64_t>(same.held_out.labels));
}

TEST(Mnist, GivesScaledRowsOfTheFile) {
  const std::string folder = testing::published("mnist");
  if (folder.empty()) GTEST_SKIP() << "MNIST is not in the folder that WHENCE_DATA names";
  const DataSplit data = load_data(options("mnist:" + folder, 500, 100, 3, at::kFloat));
  const IdxFile file = read_idx(folder + "/train-images-idx3-ubyte.gz");
  EXPECT_EQ(data.train.instances.all().sizes(), (at::IntArrayRef{500, 784}));
  EXPECT_EQ(data.train.shape, (std::vector<std::int64_t>{28, 28}));
  for (const Dataset* set : {&data.train, &data.held_out}) {
    const std::vector<float> got = values<float>(set->instances.all());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
      wrong += got[i] != static_cast<float>(file.bytes[set->ids[i / 784] * 784 + i % 784] / 127.5 - 1);
    EXPECT_EQ(wrong, 0u);
  }
  EXPECT_EQ(refusal(options("mnist:" + folder, 60000, 1)).substr(0, 11), "--instances");
}

}  // namespace
}  // namespace whence
