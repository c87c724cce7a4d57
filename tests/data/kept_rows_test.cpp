// What is kept of large data from job to job: marks of their rows, and what was unpacked.

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>

#include "whence/core/error.h"
#include "whence/data/file_rows.h"

#include "data/large_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::Bytes;
using testing::FileRowsTest;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;

class KeptRowsTest : public FileRowsTest {};

TEST_F(KeptRowsTest, FewOfALargePackedArrayAreHeldAndNothingIsUnpacked) {
  DataOptions wanted = options(hdf5("a.h5", {H5T_STD_U8LE, true}), 19 * 48 * 4);
  const DataSplit few = load_data(wanted);
  EXPECT_TRUE(few.train.instances.held());
  EXPECT_FALSE(fs::exists(path("cache")));
  wanted.access.memory = 1 << 30;
  const DataSplit all = load_data(wanted);
  EXPECT_TRUE(few.train.instances.all().equal(all.train.instances.all()));
  EXPECT_EQ(few.test.ids, all.test.ids);
}

TEST_F(KeptRowsTest, MarksAreKeptBesideTheDataAndServeOtherChoices) {
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

TEST_F(KeptRowsTest, MarksOfAFileThatWasReplacedAreTakenAgain) {
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

TEST_F(KeptRowsTest, ArraysOfOneFileHaveMarksOfTheirOwn) {
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

TEST_F(KeptRowsTest, UnpacksOnceAndAnewWhereTheFileIsAnother) {
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

TEST_F(KeptRowsTest, ACacheThatCannotBeWrittenIsASentence) {
  const std::string file = write_gzip("data/images.gz", idx_header({20, 4, 12}) + pattern(960));
  DataOptions wanted = options("idx:" + file);
  write("occupied", {1});
  wanted.access.cache = path("occupied");
  EXPECT_NE(
      message_of<Error>([&] { load_data(wanted); }).find("--data-cache: cannot create " + path("occupied")),
      std::string::npos);
}

TEST_F(KeptRowsTest, DamagedPackedFilesAreRefusedAndLeaveNothing) {
  Bytes packed = contents(write_gzip("data/whole.gz", idx_header({20, 4, 12}) + pattern(960)));
  packed.resize(packed.size() - 12);
  const std::string file = write("data/cut.gz", packed);
  EXPECT_NE(message_of<Error>([&] { load_data(options("idx:" + file)); }).find(file + ": "),
            std::string::npos);
  for (const auto& entry : fs::directory_iterator(path("cache")))
    EXPECT_EQ(entry.path().extension(), ".lock") << entry.path();
}

}  // namespace
}  // namespace whence
