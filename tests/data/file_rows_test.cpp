// Large data, which stay in their files, against the same data held in memory.

#include "whence/data/file_rows.h"

#include <algorithm>
#include <cmath>
#include <fcntl.h>
#include <filesystem>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/dataset.h"
#include "whence/data/shared_marks.h"
#include "whence/io/checksum.h"

#include "data/idx_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::Bytes;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;

// How an array of 20 rows of [4, 4, 3] is stored in an HDF5 file.
struct Stored {
  hid_t type;
  bool chunked = false;
  hsize_t before = 0;  // bytes of the user before the file
};

class FileRowsTest : public testing::FolderTest {
 protected:
  static constexpr hsize_t rows = 20, numbers = 48;

  FileRowsTest() { fs::create_directory(path("data")); }

  // What is in the data's own folder.
  std::vector<std::string> beside() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path("data"))) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string hdf5(const std::string& name, const Stored& stored, double first = 0) const {
    const std::string file = path("data/" + name);
    const hid_t create = H5Pcreate(H5P_FILE_CREATE), list = H5Pcreate(H5P_DATASET_CREATE);
    if (stored.before > 0) H5Pset_userblock(create, stored.before);
    const hsize_t size[] = {rows, 4, 4, 3}, chunk[] = {3, 4, 4, 3};
    if (stored.chunked) {
      H5Pset_chunk(list, 4, chunk);
      H5Pset_deflate(list, 1);
    }
    const hid_t id = H5Fcreate(file.c_str(), H5F_ACC_TRUNC, create, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(4, size, nullptr);
    const hid_t array = H5Dcreate2(id, "X", stored.type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    std::vector<double> values(rows * numbers);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>((7 * i + i / 256) % 256);
    values[0] = first;
    H5Dwrite(array, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(array), H5Sclose(space), H5Fclose(id), H5Pclose(list), H5Pclose(create);
    return "hdf5:" + file;
  }

  DataOptions options(const std::string& source, std::int64_t memory = 0) const {
    DataOptions wanted{source, 12, 5, 3, at::kFloat};
    wanted.test = 2;
    wanted.access.memory = memory;
    wanted.access.cache = path("cache");
    return wanted;
  }

  static void expect_same(const DataSplit& read, const DataSplit& held, const std::string& what) {
    for (const auto part : {&DataSplit::train, &DataSplit::held_out, &DataSplit::test}) {
      const Dataset &a = read.*part, &b = held.*part;
      EXPECT_EQ(a.ids, b.ids) << what;
      EXPECT_EQ(a.shape, b.shape) << what;
      EXPECT_FALSE(a.instances.held()) << what;
      EXPECT_TRUE(a.instances.all().equal(b.instances.all())) << what;
      const at::Tensor some = at::tensor({1, 0, 1}, at::kLong);
      EXPECT_TRUE(a.instances.gather(some).equal(b.instances.gather(some))) << what;
      EXPECT_TRUE(a.instances.rows(1, 1).equal(b.instances.rows(1, 1))) << what;
      EXPECT_EQ(a.instances.range(), b.instances.range()) << what;
    }
    if (held.train.labels.defined()) {
      EXPECT_TRUE(read.train.labels.equal(held.train.labels)) << what;
    }
  }

  // Loads the source both ways.
  void expect_both_ways(DataOptions wanted, const std::string& what) const {
    const DataSplit read = load_data(wanted);
    const std::string print = fingerprint(wanted, read);
    wanted.access.memory = 1 << 30;
    const DataSplit held = load_data(wanted);
    expect_same(read, held, what);
    EXPECT_EQ(print, fingerprint(wanted, held)) << what;
    EXPECT_EQ(in_words(read), in_words(held)) << what;
  }
};

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

TEST_F(FileRowsTest, FewOfALargePackedArrayAreHeldAndNothingIsUnpacked) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_STD_U8LE, true}), 19 * 48 * 4);
  const DataSplit few = load_data(wanted);
  EXPECT_TRUE(few.train.instances.held());
  EXPECT_FALSE(fs::exists(path("cache")));
  wanted.access.memory = 1 << 30;
  const DataSplit all = load_data(wanted);
  EXPECT_TRUE(few.train.instances.all().equal(all.train.instances.all()));
  EXPECT_EQ(few.test.ids, all.test.ids);
}

TEST_F(FileRowsTest, MarksAreKeptBesideTheDataAndServeOtherChoices) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_STD_U8LE}));
  const std::string first = fingerprint(wanted, load_data(wanted));
  ASSERT_EQ(beside().size(), 2u);
  EXPECT_EQ(beside()[0].rfind(".a.h5.whence-", 0), 0u);
  const std::string marks = path("data/" + beside()[0]);
  const auto made = fs::last_write_time(marks);
  for (const std::uint64_t seed : {3, 4}) {
    DataOptions other = options(wanted.source);
    other.seed = seed;
    const DataSplit data = load_data(other);
    EXPECT_NE(data.train.instances.files().front()->known_marks(), nullptr);
    const std::string print = fingerprint(other, data);
    other.access.memory = 1 << 30;
    EXPECT_EQ(print, fingerprint(other, load_data(other)));
  }
  EXPECT_EQ(fs::last_write_time(marks), made);
  // Damaged, they are of no use and taken again.
  std::ofstream(marks) << "no";
  EXPECT_EQ(fingerprint(options(wanted.source), load_data(options(wanted.source))), first);
  EXPECT_GT(fs::file_size(marks), 1000u);
}

TEST_F(FileRowsTest, MarksOfAFileThatWasReplacedAreTakenAgain) {
  const auto print = [&](const std::string& source) {
    return fingerprint(options(source), load_data(options(source)));
  };
  const std::string source = hdf5("a.h5", {H5T_STD_U8LE}), file = source.substr(5), before = print(source);
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  hdf5("a.h5", {H5T_STD_U8LE}, 200);
  const std::string after = print(source);
  EXPECT_NE(before, after);
  // With the time of the first, nothing but its bytes tells that it is another.
  hdf5("a.h5", {H5T_STD_U8LE}, 100);
  DataOptions wanted = options(source);
  fingerprint(wanted, load_data(wanted));
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  hdf5("a.h5", {H5T_STD_U8LE}, 200);
  const timespec times[] = {status.st_atim, status.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  std::string said;
  wanted = options(source);
  wanted.access.say = [&](const std::string& text) { said = text; };
  EXPECT_EQ(fingerprint(wanted, load_data(wanted)), after);
  EXPECT_NE(said.find("a.h5: X: has other contents than when its checksums were taken"), std::string::npos)
      << said;
}

TEST_F(FileRowsTest, ArraysOfOneFileHaveMarksOfTheirOwn) {
  const std::string file = hdf5("a.h5", {H5T_STD_U8LE}).substr(5);
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hsize_t size[] = {rows, numbers};
  for (const int group : {0, 1}) {
    const hid_t there = H5Gcreate2(id, group == 0 ? "a" : "b", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, size, nullptr);
    const hid_t array = H5Dcreate2(there, "X", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const std::vector<std::uint8_t> values(rows * numbers, static_cast<std::uint8_t>(50 + group));
    H5Dwrite(array, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(array), H5Sclose(space), H5Gclose(there);
  }
  H5Fclose(id);
  for (const std::string name : {"X", "a/X", "b/X"})
    expect_both_ways(options("hdf5:" + file + ":" + name), name);
  EXPECT_EQ(beside().size(), 4u);
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

TEST_F(FileRowsTest, UnpacksOnceAndAnewWhereTheFileIsAnother) {
  const std::string file = write_gzip("data/images.gz", idx_header({20, 4, 12}) + pattern(960));
  std::vector<std::string> said;
  const auto load = [&] {
    DataOptions wanted = options("idx:" + file);
    wanted.access.say = [&](const std::string& text) { said.push_back(text); };
    return load_data(wanted).train.instances.all();
  };
  const at::Tensor first = load();
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].rfind("unpacking " + file + " into " + path("cache"), 0), 0u) << said[0];
  load();
  EXPECT_EQ(said.size(), 1u);
  Bytes other = pattern(960);
  std::reverse(other.begin(), other.end());
  write_gzip("data/images.gz", idx_header({20, 4, 12}) + other);
  EXPECT_FALSE(first.equal(load()));
  EXPECT_EQ(said.size(), 2u);
  EXPECT_EQ(beside(), std::vector<std::string>{"images.gz"});
}

TEST_F(FileRowsTest, ACacheThatCannotBeWrittenIsASentence) {
  const std::string file = write_gzip("data/images.gz", idx_header({20, 4, 12}) + pattern(960));
  DataOptions wanted = options("idx:" + file);
  write("occupied", {1});
  wanted.access.cache = path("occupied");
  EXPECT_NE(
      message_of<Error>([&] { load_data(wanted); }).find("--data-cache: cannot create " + path("occupied")),
      std::string::npos);
}

TEST_F(FileRowsTest, DamagedPackedFilesAreRefusedAndLeaveNothing) {
  Bytes packed = contents(write_gzip("data/whole.gz", idx_header({20, 4, 12}) + pattern(960)));
  packed.resize(packed.size() - 12);
  const std::string file = write("data/cut.gz", packed);
  EXPECT_NE(message_of<Error>([&] { load_data(options("idx:" + file)); }).find(file + ": "),
            std::string::npos);
  for (const auto& entry : fs::directory_iterator(path("cache")))
    EXPECT_EQ(entry.path().extension(), ".lock") << entry.path();
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

TEST(Crc32Join, IsZlibs) {
  const Bytes all = pattern(1000);
  for (const std::size_t second : {1, 7, 400}) {
    const std::size_t first = all.size() - second;
    const Crc32Join join(second);
    EXPECT_EQ(join(crc32_of(all.data(), first), crc32_of(all.data() + first, second)),
              crc32_of(all.data(), all.size()));
  }
}

}  // namespace
}  // namespace whence
