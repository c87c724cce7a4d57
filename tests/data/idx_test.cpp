#include "whence/data/idx.h"

#include <algorithm>

#include "whence/core/error.h"

#include "data/idx_files.h"

namespace whence {
namespace {

using testing::Bytes;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;
using Shape = std::vector<std::int64_t>;

class Idx : public testing::FolderTest {
 protected:
  static std::string message(const std::string& path) {
    return message_of<Error>([&path] { read_idx(path); });
  }

  // Expects that `bytes`, as a file, are refused with "PATH: cause".
  void expect_refused(const Bytes& bytes, const std::string& cause) const {
    const std::string file = write("bad", bytes);
    EXPECT_EQ(message(file), file + ": " + cause);
  }
};

TEST_F(Idx, ReadsEveryRankPlainAndGzip) {
  const std::vector<std::vector<std::uint32_t>> shapes = {{5}, {5, 3}, {4, 3, 2}, {2, 3, 1, 300}};
  const Shape widths = {1, 3, 6, 900};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const std::size_t total = shapes[i][0] * static_cast<std::size_t>(widths[i]);
    const Bytes bytes = idx_header(shapes[i]) + pattern(total);
    for (const std::string& file : {write("plain", bytes), write_gzip("packed", bytes)}) {
      const IdxFile idx = read_idx(file);
      EXPECT_EQ(idx.shape, Shape(shapes[i].begin(), shapes[i].end()));
      EXPECT_EQ(idx.bytes, pattern(total));
      EXPECT_EQ(idx.rows(), shapes[i][0]);
      EXPECT_EQ(idx.width(), widths[i]);
    }
  }
}

TEST_F(Idx, ReadsDataOfManyChunks) {
  const Bytes data = pattern(5'000'001);
  const Bytes bytes = idx_header({5'000'001}) + data;
  EXPECT_EQ(read_idx(write("plain", bytes)).bytes, data);
  EXPECT_EQ(read_idx(write_gzip("packed", bytes)).bytes, data);
}

TEST_F(Idx, RefusesOtherFormats) {
  expect_refused({'P', 'N', 'G', '!', 1, 2, 3}, "not an IDX file of unsigned bytes (magic 0x504e4721)");
  expect_refused({1, 0, 8, 1, 0, 0, 0, 1, 9}, "not an IDX file of unsigned bytes (magic 0x01000801)");
  // 0x0d: the element type is a 32-bit float.
  expect_refused({0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0},
                 "not an IDX file of unsigned bytes (magic 0x00000d01)");
  expect_refused({0, 0, 8, 0}, "an IDX file of rank 0, but only ranks 1 to 4 can be read");
  expect_refused(idx_header({1, 1, 1, 1, 1}) + Bytes{7},
                 "an IDX file of rank 5, but only ranks 1 to 4 can be read");
}

TEST_F(Idx, RefusesImpossibleSizes) {
  expect_refused(idx_header({2, 0, 3}), "size 2 of 3 in its IDX header is 0");
  expect_refused(idx_header({0}), "size 1 of 1 in its IDX header is 0");
  const std::string too_much = "its IDX header promises more than 1099511627776 bytes";
  expect_refused(idx_header({1u << 20, (1u << 20) + 1}), too_much);
  // Products that are 0 in 64 bits; the first two sizes of the first one are just within the limit.
  expect_refused(idx_header({1u << 20, 1u << 20, 1u << 24}), too_much);
  expect_refused(idx_header({1u << 31, 1u << 31, 4}), too_much);
  expect_refused(idx_header({1u << 31, 1u << 31, 4, 4}), too_much);
}

TEST_F(Idx, RefusesTruncatedFiles) {
  expect_refused({}, "ends inside its IDX header, 4 bytes early");
  expect_refused({0, 0, 8}, "ends inside its IDX header, 1 bytes early");
  expect_refused({0, 0, 8, 2, 0, 0, 0, 1, 0}, "ends inside its IDX header, 3 bytes early");
  expect_refused(idx_header({4, 3}), "ends after 0 of 12 bytes of data");
  expect_refused(idx_header({4, 3}) + pattern(11), "ends after 11 of 12 bytes of data");
  expect_refused(idx_header({3'000'000}) + pattern(2'500'000), "ends after 2500000 of 3000000 bytes of data");
}

TEST_F(Idx, AllocatesWhatTheFileProvidesNotWhatItsHeaderPromises) {
  // 2^40 bytes are within the format's limit here, but no machine has them.
  expect_refused(idx_header({1u << 20, 1u << 20}) + pattern(1234),
                 "ends after 1234 of 1099511627776 bytes of data");
}

TEST_F(Idx, RefusesTrailingBytes) {
  const Bytes good = idx_header({4, 3}) + pattern(12);
  expect_refused(good + pattern(3), "3 bytes too many after the data");
  expect_refused(good + pattern(100'000), "100000 bytes too many after the data");
  const std::string packed = write_gzip("packed", good + pattern(1));
  EXPECT_EQ(message(packed), packed + ": 1 bytes too many after the data");
}

TEST_F(Idx, RefusesDamagedGzip) {
  const Bytes packed =
      testing::FolderTest::contents(write_gzip("good", idx_header({100'000}) + pattern(100'000)));

  Bytes damaged = packed;
  std::fill(damaged.begin() + 20, damaged.begin() + 40, 0xff);
  const std::string file = write("damaged", damaged);
  EXPECT_EQ(message(file).rfind(file + ": cannot be read (invalid ", 0), 0u) << message(file);

  // The last 8 bytes are the checksum and the length of what was packed.
  damaged = packed;
  damaged[damaged.size() - 8] ^= 1;
  expect_refused(damaged, "cannot be read (incorrect data check)");
  damaged = packed;
  damaged.back() ^= 1;
  expect_refused(damaged, "cannot be read (incorrect length check)");

  for (const std::size_t lost : {std::size_t{1}, std::size_t{8}, packed.size() / 2, packed.size() - 12})
    expect_refused({packed.begin(), packed.end() - static_cast<std::ptrdiff_t>(lost)},
                   "cannot be read (unexpected end of file)");
}

TEST_F(Idx, RefusesWhatCannotBeOpened) {
  EXPECT_EQ(message(path("none")), path("none") + ": cannot be opened (No such file or directory)");
  EXPECT_EQ(message(folder_), folder_ + ": cannot be read (Is a directory)");
}

TEST(Mnist, TrainingImagesAreThePublishedOnes) {
  const std::string path = testing::published("mnist/train-images-idx3-ubyte.gz");
  if (path.empty()) GTEST_SKIP() << "MNIST is not in the folder that WHENCE_DATA names";
  const IdxFile images = read_idx(path);
  EXPECT_EQ(images.shape, (Shape{60000, 28, 28}));
  // Independent of this reader, on a file whose unpacked MD5 is the published
  // 6bbc9ace898e44ae57da46a324031adb: python3 -c 'import gzip,hashlib,zlib;
  // b=gzip.open("train-images-idx3-ubyte.gz").read();
  //             print(hashlib.md5(b).hexdigest(), hex(zlib.crc32(b[16:])))'
  EXPECT_EQ(crc32_z(0, images.bytes.data(), images.bytes.size()), 0xf3639b56u);
}

TEST(Mnist, TrainingLabelsAreThePublishedOnes) {
  const std::string path = testing::published("mnist/train-labels-idx1-ubyte.gz");
  if (path.empty()) GTEST_SKIP() << "MNIST is not in the folder that WHENCE_DATA names";
  const IdxFile labels = read_idx(path);
  EXPECT_EQ(labels.shape, (Shape{60000}));
  // python3 -c 'import collections,gzip; b=gzip.open("train-labels-idx1-ubyte.gz").read();
  //             print(sorted(collections.Counter(b[8:]).items()))'
  const std::vector<int> expected = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
  std::vector<int> counts(256);
  for (const std::uint8_t label : labels.bytes) ++counts[label];
  counts.resize(10);
  EXPECT_EQ(counts, expected);
}

}  // namespace
}  // namespace whence
