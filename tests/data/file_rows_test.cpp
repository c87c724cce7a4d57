// Large data, which stay in their files, against the same data held in memory.

#include "whence/data/file_rows.h"

#include <cmath>
#include <filesystem>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/data/shared_marks.h"

#include "data/large_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::Bytes;
using testing::FileRowsTest;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::Stored;
using testing::operator+;

TEST_F(FileRowsTest, AreTheBitsOfThoseThatAreHeld) {
  for (const auto& [what, stored] :
       {std::pair("bytes", Stored{H5T_STD_U8LE}),
        std::pair("behind a user block", Stored{H5T_STD_U8LE, false, 512}),
        std::pair("float32", Stored{H5T_IEEE_F32LE}), std::pair("swapped float32", Stored{H5T_IEEE_F32BE}),
        std::pair("swapped float64", Stored{H5T_IEEE_F64BE}),
        std::pair("packed bytes", Stored{H5T_STD_U8LE, true}),
        std::pair("packed float64", Stored{H5T_IEEE_F64BE, true})}) {
    const std::string source = hdf5("a.h5", stored);
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
      DataOptions wanted = options(source);
      wanted.dtype = dtype;
      expect_both_ways(wanted, what);
    }
  }
}

TEST_F(FileRowsTest, AreTurnedResizedPlantedAndTakenOutAsThoseThatAreHeld) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_STD_U8LE}));
  wanted.pixels = PixelRange::zero_to_one;
  wanted.orientation = Orientation::channels_first;
  wanted.image_size = 6;
  expect_both_ways(wanted, "resized");
  wanted.round_resized = true;
  wanted.plant = hdf5("b.h5", {H5T_STD_U8LE}, 9) + ":4";
  wanted.plant_orientation = Orientation::channels_first;
  expect_both_ways(wanted, "planted");
  const DataSplit all = load_data(wanted);
  EXPECT_EQ(all.train.size(), 16);
  wanted.without = write("without", {});
  std::ofstream(wanted.without) << all.train.ids[2] << "\n" << all.train.ids[14] << "\n";
  expect_both_ways(wanted, "some taken out");
  wanted.swapped = true;
  wanted.without = wanted.plant = "";
  wanted.plant_orientation = Orientation::as_is;
  expect_both_ways(wanted, "swapped");
}

TEST_F(FileRowsTest, AreReadFromEveryFormat) {
  const Bytes pixels = pattern(20 * 48), labels = pattern(20);
  write("data/images", idx_header({20, 4, 12}) + pixels);
  write_gzip("data/images.gz", idx_header({20, 4, 12}) + pixels);
  write("data/labels", idx_header({20}) + labels);
  for (const std::string images : {"images", "images.gz"})
    expect_both_ways(options("idx:" + path("data/" + images) + "," + path("data/labels")), images);
  Bytes records;
  for (int r = 0; r < 11; ++r) records = records + Bytes{static_cast<std::uint8_t>(r % 10)} + pattern(3072);
  write("data/a.bin", records);
  records[5] = 77;
  write_gzip("data/b.bin.gz", records);
  expect_both_ways(options("cifar10:" + path("data/a.bin") + "," + path("data/b.bin.gz")), "cifar10");
  std::string header = "{'descr': '<f2', 'fortran_order': False, 'shape': (20, 24), }";
  header.resize(117, ' ');
  const std::string front = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + "\n";
  Bytes half;  // 16-bit floats, all below infinity
  for (const std::uint8_t byte : pattern(20 * 48)) half.push_back(byte & 0x3b);
  write("data/a.npy", Bytes(front.begin(), front.end()) + half);
  expect_both_ways(options("npy:" + path("data/a.npy")), "npy");
}

TEST_F(FileRowsTest, FewOfALargeFileAreHeld) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_STD_U8LE}), 19 * 48 * 4);
  const DataSplit none = load_data(wanted);
  EXPECT_TRUE(none.train.instances.held());
  wanted.orientation = Orientation::channels_first;
  const DataSplit turned = load_data(wanted);
  EXPECT_TRUE(turned.train.instances.held());
  wanted.access.memory = 1 << 30;
  EXPECT_TRUE(turned.train.instances.all().equal(load_data(wanted).train.instances.all()));
  EXPECT_EQ(beside(), std::vector<std::string>{"a.h5"});
}

TEST_F(FileRowsTest, AFileChangedMeanwhileIsASentence) {
  const std::string source = hdf5("a.h5", {H5T_STD_U8LE}), file = source.substr(5);
  const DataSplit data = load_data(options(source));
  EXPECT_EQ(data.train.instances.rows(0, 12).size(0), 12);
  const auto size = static_cast<std::int64_t>(fs::file_size(file));
  ASSERT_EQ(::truncate(file.c_str(), size - 30 * 48), 0);
  const std::string message = message_of<Error>([&] { data.train.instances.all(); });
  EXPECT_EQ(
      message,
      fmt::format("{}: was changed while this job was reading it ({} bytes then, {} now); a file of data "
                  "has to stay as it is until the job has ended",
                  file, size, size - 30 * 48));
}

TEST_F(FileRowsTest, AFileReplacedMeanwhileIsReadOn) {
  const std::string source = hdf5("a.h5", {H5T_STD_U8LE});
  const DataSplit data = load_data(options(source));
  const at::Tensor before = data.train.instances.all();
  const std::string other = hdf5("b.h5", {H5T_STD_U8LE}, 200).substr(5);
  fs::rename(other, source.substr(5));
  EXPECT_TRUE(before.equal(data.train.instances.all()));
}

TEST_F(FileRowsTest, ANumberThatIsNotFiniteIsNamed) {
  const std::string source = hdf5("a.h5", {H5T_IEEE_F64LE}, std::nan(""));
  DataOptions wanted = options(source);
  wanted.instances = every_instance;
  wanted.held_out = wanted.test = 0;
  const std::string message = message_of<Error>([&] { fingerprint(wanted, load_data(wanted)); });
  EXPECT_EQ(message, source.substr(5) + ": X: row 0 holds NaN, which is not a number to train on");
  wanted.access.memory = 1 << 30;
  EXPECT_EQ(message, message_of<Error>([&] { load_data(wanted); }));
  hdf5("a.h5", {H5T_IEEE_F64LE}, 1e300);
  wanted.access.memory = 0;
  EXPECT_NE(
      message_of<Error>([&] { load_data(wanted).train.instances.rows(0, 1); }).find("too large for --dtype"),
      std::string::npos);
}

TEST_F(FileRowsTest, ANumberThatIsNotFiniteInARowThatNobodyChoseIsNoFault) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_IEEE_F64LE}, std::nan("")));
  wanted.train_rows = "1:11";
  wanted.instances = every_instance;
  wanted.held_out = wanted.test = 0;
  DataOptions held = wanted;
  held.access.memory = 1 << 30;
  const DataSplit some = load_data(wanted), same = load_data(held);
  EXPECT_FALSE(some.train.instances.held());
  EXPECT_EQ(fingerprint(wanted, some), fingerprint(held, same));
  EXPECT_EQ(some.train.instances.range(), same.train.instances.range());
  // Its marks are kept, and still refuse the row to who chooses it.
  wanted.train_rows = "0:11";
  const DataSplit data = load_data(wanted);
  EXPECT_NE(data.train.instances.files().front()->known_marks(), nullptr);
  for (const bool range : {false, true}) {
    const std::string message = message_of<Error>(
        [&] { range ? void(data.train.instances.range()) : void(data.train.instances.crc32(0)); });
    EXPECT_NE(message.find("row 0 holds NaN, which is not a number to train on"), std::string::npos)
        << message;
  }
}

TEST_F(FileRowsTest, RanksMarkTogetherWhatOneMarksAlone) {
  const Communicator world(MPI_COMM_WORLD);
  // A copy of its own for each rank, then one for all, whose marks nobody has kept.
  const std::string own = hdf5("a.h5", {H5T_STD_U8LE}), other = hdf5("b.h5", {H5T_STD_U8LE}, 9);
  for (const std::string& source : {own, world.broadcast(other)}) {
    const DataOptions wanted = options(source);
    mark_together(wanted, world);
    const DataSplit data = load_data(wanted);
    EXPECT_NE(data.train.instances.files().front()->known_marks(), nullptr);
    DataOptions held = wanted;
    held.access.memory = 1 << 30;
    EXPECT_EQ(fingerprint(wanted, data), fingerprint(held, load_data(held)));
    world.barrier();
  }
  DataOptions missing = options("hdf5:" + path("none.h5"));
  mark_together(missing, world);  // says nothing: load_data does
  missing.instances = 0;
  mark_together(missing, world);
}

}  // namespace
}  // namespace whence
