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

TEST_F(Csv, NumbersOfColumnsAreAHeaderOrRefused) {
  for (const std::string first : {"0,1", "1,2", "\"0\",\"1\""}) {
    const CsvFile read = read_csv(file(first + "\n0.5,2\n-3,4\n"), std::nullopt);
    EXPECT_EQ(read.values, (std::vector<double>{0.5, 2, -3, 4})) << first;
    EXPECT_EQ(read.header.size(), 2u);
  }
  // A row where every row is whole, or of one column, may be a point.
  for (const std::string text : {"0,1\n2,3\n", "1,2\n2,3\n", "0\n0.5\n", "1\n3\n"})
    EXPECT_NE(message_of<Error>([&] { read_csv(file(text), std::nullopt); }).find("may number the columns"),
              std::string::npos)
        << text;
  EXPECT_EQ(read_csv(file("0.0,1\n2,3\n"), std::nullopt).rows(), 2);
  EXPECT_EQ(read_csv(file("0,2\n2,3.5\n"), std::nullopt).rows(), 2);
}

TEST_F(Csv, SaysWhatWasRead) {
  const auto words = [&](const std::string& text, const std::optional<std::string>& column = std::nullopt) {
    const std::string name = file(text);
    return in_words("a.csv", read_csv(name, column));
  };
  EXPECT_EQ(words("0,1\n0.5,2\n1.5,2.5\n"), "a.csv: 2 points of 2 numbers, with a header (0, 1)");
  EXPECT_EQ(words("0.5,2\n"), "a.csv: 1 point of 2 numbers, without a header");
  EXPECT_EQ(words("c,x\n1,2\n1,3\n", "c"),
            "a.csv: 2 points of 1 number with their clusters, with a header (c, x)");
  EXPECT_EQ(load_data({"csv:" + file("x\n1.5\n"), every_instance, 0, 0, at::kDouble}).note,
            path("points.csv") + ": 1 point of 1 number, with a header (x)");
}

TEST_F(Csv, IsReadAsSpreadsheetsSaveIt) {
  const std::vector<double> points{0.5, 2, 1.5, -2.5};
  const std::string mark = "\xEF\xBB\xBF";
  for (const std::string& text :
       {mark + "0.5,2\n1.5,-2.5\n", mark + "x,y\n0.5,2\n1.5,-2.5",
        std::string("0.5,2\r\n1.5,-2.5\r\n\r\n\r\n"), std::string("0.5,2\r1.5,-2.5\r"),
        std::string("0.5;2\n1.5;-2.5\n"), std::string("0.5\t2\n1.5\t-2.5\n"),
        std::string("\"0.5\",\"2\"\n1.5, \"-2.5\" \n"),
        std::string("\"x, or so\",\"a \"\"y\"\"\"\n0.5,2\n1.5,-2.5\n")}) {
    EXPECT_EQ(read_csv(file(text), std::nullopt).values, points) << text;
    const std::string packed = write_gzip("points.csv.gz", Bytes(text.begin(), text.end()));
    EXPECT_EQ(read_csv(packed, std::nullopt).values, points) << text;
  }
  EXPECT_EQ(read_csv(file(mark + "0.5\n1.5\n"), std::nullopt).values, (std::vector<double>{0.5, 1.5}));
  const std::string clusters = mark + "\"cluster\";\"x\"\n1;2\n0;3\n";
  EXPECT_EQ(read_csv(file(clusters), "cluster").clusters, (std::vector<std::int64_t>{1, 0}));
}

TEST_F(Csv, RefusalsSayWhatIsThere) {
  const auto refusal = [&](const std::string& text, const std::optional<std::string>& column = std::nullopt) {
    const std::string name = file(text);
    return message_of<Error>([&] { read_csv(name, column); }).substr(name.size() + 2);
  };
  EXPECT_EQ(refusal("kind,x\n0,1.5\n", "knd"),
            "has no column 'knd' for the clusters; it has the 2 columns kind, x; did you mean kind?");
  EXPECT_EQ(refusal("0,1.5\n", "c"), "has no column 'c' for the clusters; it has 2 columns and no header");
  EXPECT_EQ(refusal("c,c\n0,1.5\n", "c"), "has more than one column 'c'");
  EXPECT_EQ(refusal("0,1\n0,1.5\n", "1"),
            "'1' is the name of column 2 and the number of another; give the columns other names");
  EXPECT_EQ(refusal("x,y\n1,\xEF\xBB\xBF"
                    "2\n"),
            "line 2, column 2: '\\xEF\\xBB\\xBF2' is not a number");
  EXPECT_EQ(refusal("x;y\n1;0,5\n"), "line 2, column 2: '0,5' is not a number (the decimal sign is a point)");
  EXPECT_EQ(refusal("x,y\n1,\"2\n"), "line 2: a quote is not closed, or not around a whole cell: 1,\"2");
  EXPECT_EQ(refusal("1_000\n2\n"), "line 1 is neither numbers nor names of columns: 1_000");
  EXPECT_EQ(refusal("0x1F,0x2\n2,3\n"), "line 1 is neither numbers nor names of columns: 0x1F, 0x2");
  EXPECT_EQ(refusal("x\n1e400\n"), "line 2, column 1: '1e400' is not a finite number");
  EXPECT_EQ(refusal(std::string("1\n2\0\n", 5)),
            "has a byte of value 0 in line 2, so it is no text in UTF-8");
  EXPECT_EQ(refusal("\xFF\xFE"
                    "1"),
            "is UTF-16 text; save it as UTF-8");
  EXPECT_EQ(refusal("x\n" + std::string(100000, 'y') + "\n"),
            "line 2, column 1: '" + std::string(60, 'y') + "...' is not a number");
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
      EXPECT_EQ(values(set->instances.all())[j], static_cast<double>(set->ids[j]));
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
    ASSERT_EQ(data.train.instances.all().sizes(), (at::IntArrayRef{size, 2}));
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
    return values(load_data({"six-clusters", every_instance, 0, seed, at::kDouble}).train.instances.all());
  };
  EXPECT_EQ(points(1), points(1));
  const std::vector<double> first = points(1), second = points(2);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NE(first[i], second[i]);
}

}  // namespace
}  // namespace whence
