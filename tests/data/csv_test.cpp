// Rows of text, six clusters, and the choice of rows. Bad files are tried from outside in
// tests/jobs/density_test.py.
#include "whence/data/csv.h"

#include <algorithm>
#include <limits>

#include "whence/core/error.h"
#include "whence/data/rows.h"
#include "whence/data/sources.h"

#include "data/idx_files.h"

namespace whence {
namespace {

using testing::Bytes;
using testing::message_of;

std::vector<double> values(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous();
  return {wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel()};
}

class Csv : public testing::FolderTest {
 protected:
  std::string file(const std::string& text) const {
    return write("points.csv", Bytes(text.begin(), text.end()));
  }
};

TEST_F(Csv, ReadsNumbersAsTheyAreWritten) {
  const CsvFile read = read_csv(file("0.1,-2e3\n+4,1e-320\n"), std::nullopt);
  EXPECT_EQ(read.width, 2);
  EXPECT_EQ(read.values, (std::vector<double>{0.1, -2e3, 4, 1e-320}));
  EXPECT_TRUE(read.clusters.empty());
}

TEST_F(Csv, TakesTheClusterColumnOutByNameOrNumber) {
  const std::string path = file("c,x,y\n2,1,2\n0,3,4\n");
  for (const std::string column : {"c", "1"}) {
    const CsvFile read = read_csv(path, column);
    EXPECT_EQ(read.width, 2);
    EXPECT_EQ(read.values, (std::vector<double>{1, 2, 3, 4}));
    EXPECT_EQ(read.clusters, (std::vector<std::int64_t>{2, 0}));
  }
}

TEST_F(Csv, LinesWithANumberAreNoHeader) {
  EXPECT_EQ(message_of<Error>([&] { read_csv(file("1,two\n3,4\n"), std::nullopt); }),
            path("points.csv") + ": line 1, column 2: 'two' is not a number");
}

TEST_F(Csv, BecomesADatasetInTheOrderOfTheFileOrOfTheSeed) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += std::to_string(i) + "," + std::to_string(i % 3) + "\n";
  const std::string source = "csv:" + file(text) + ",2";
  const DataSplit all = load_data({source, every_instance, 0, 7, at::kFloat});
  EXPECT_EQ(all.train.size(), 30);
  EXPECT_EQ(all.held_out.size(), 0);
  EXPECT_TRUE(std::is_sorted(all.train.ids.begin(), all.train.ids.end()));
  const DataSplit some = load_data({source, every_instance, 4, 7, at::kDouble});
  EXPECT_EQ(some.train.size(), 26);
  EXPECT_FALSE(std::is_sorted(some.train.ids.begin(), some.train.ids.end()));
  for (const Dataset* set : {&all.train, &some.train, &some.held_out})
    for (std::int64_t j = 0; j < set->size(); ++j) {
      EXPECT_EQ(values(set->instances)[j], static_cast<double>(set->ids[j]));
      EXPECT_EQ(set->labels.data_ptr<std::int64_t>()[j], set->ids[j] % 3);
    }
}

TEST(Rows, AreChosenWithoutOverflow) {
  const auto choose = [](std::int64_t instances, std::int64_t held_out) {
    return [=] { choose_rows(10, "file", {"", instances, held_out, 0, at::kDouble}); };
  };
  message_of<UsageError>(choose(11, 0));
  message_of<UsageError>(choose(1, std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(message_of<UsageError>(choose(every_instance, 10)),
            "--held-out 10 leaves none of the 10 rows of file to train on");
}

TEST(SixClusters, HaveTheSizesOfThePaperInProportion) {
  for (const std::int64_t n : {std::int64_t{20}, every_instance, std::int64_t{400}}) {
    const DataSplit data = load_data({"six-clusters", n, 7, 1, at::kDouble});
    const std::int64_t size = n == every_instance ? 100 : n;
    ASSERT_EQ(data.train.instances.sizes(), (at::IntArrayRef{size, 2}));
    EXPECT_EQ(data.held_out.size(), 7);
    std::vector<std::int64_t> counts(6);
    for (std::int64_t j = 0; j < size; ++j) counts.at(data.train.labels.data_ptr<std::int64_t>()[j]) += 100;
    EXPECT_EQ(counts,
              (std::vector<std::int64_t>{25 * size, 15 * size, 20 * size, 25 * size, 10 * size, 5 * size}));
  }
  EXPECT_EQ(message_of<UsageError>([] {
              load_data({"six-clusters", 30, 0, 1, at::kDouble});
            }),
            "--instances is 30, but six-clusters come in multiples of 20 (the paper's are 100)");
}

TEST(SixClusters, DependOnTheSeed) {
  const auto points = [](std::uint64_t seed) {
    return values(load_data({"six-clusters", every_instance, 0, seed, at::kDouble}).train.instances);
  };
  EXPECT_EQ(points(1), points(1));
  const std::vector<double> first = points(1), second = points(2);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NE(first[i], second[i]);
}

}  // namespace
}  // namespace whence
