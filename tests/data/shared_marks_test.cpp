// What ranks do together before they load large data, and what they leave behind.

#include "whence/data/shared_marks.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <unistd.h>

#include "whence/core/error.h"
#include "whence/data/dataset.h"
#include "whence/data/file_rows.h"

#include "data/idx_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::Bytes;
using testing::idx_header;
using testing::message_of;
using testing::pattern;
using testing::operator+;

class SharedMarksTest : public testing::FolderTest {
 protected:
  // The root's file and cache, for all ranks.
  DataOptions shared(const std::string& file) const {
    DataOptions wanted{"idx:" + world_.broadcast(file), 12, 2, 2, at::kFloat};
    wanted.test = 2;
    wanted.access.memory = 0;
    wanted.access.cache = world_.broadcast(path("cache"));
    return wanted;
  }

  static std::string print(const DataOptions& wanted) { return fingerprint(wanted, load_data(wanted)); }

  static std::string print_of_held(DataOptions wanted) {
    wanted.access.memory = 1 << 30;
    return print(wanted);
  }

  void TearDown() override { world_.barrier(); }  // the folder of the root goes

  const Communicator world_{MPI_COMM_WORLD};
};

TEST_F(SharedMarksTest, AreThoseOfAllPieces) {
  const std::int64_t rows = 44, side = 1024;
  DataOptions wanted = shared(
      world_.is_root() ? write("images", idx_header({44, 1024, 1024}) + pattern(rows * side * side)) : "");
  std::int64_t said = 0;
  wanted.access.say = [&](const std::string& text) { said += text.rfind("taking the checksums", 0) == 0; };
  mark_together(wanted, world_);
  const DataSplit data = load_data(wanted);
  const FileRows& file = *data.train.instances.files().front();
  ASSERT_GT(file.pieces(), 4);
  ASSERT_NE(file.known_marks(), nullptr);
  RowMarks alone(file.size());
  for (std::int64_t i = 0; i < file.pieces(); ++i) file.look_at(i, &alone);
  EXPECT_EQ(file.marks().crc, alone.crc);
  EXPECT_EQ(file.marks().least, alone.least);
  EXPECT_EQ(file.marks().most, alone.most);
  EXPECT_EQ(print(wanted), print_of_held(wanted));
  EXPECT_EQ(world_.sum(said), 1);
}

TEST_F(SharedMarksTest, NoRankBelievesMarksThatAnotherDoesNot) {
  const DataOptions wanted = shared(write("images", idx_header({20, 4, 12}) + pattern(960)));
  if (world_.rank() < world_.size() - 1) {
    const DataSplit data = load_data(wanted);
    data.train.instances.files().front()->know(std::make_shared<RowMarks>(20));
  }
  mark_together(wanted, world_);
  EXPECT_EQ(print(wanted), print_of_held(wanted));
}

TEST_F(SharedMarksTest, WhatCannotBeUnpackedIsTriedOnce) {
  Bytes packed = contents(write_gzip("whole.gz", idx_header({20, 4, 12}) + pattern(960)));
  packed.resize(packed.size() - 12);
  const std::string file = world_.broadcast(write("cut.gz", packed));
  DataOptions wanted = shared(file);
  std::int64_t said = 0;
  wanted.access.say = [&](const std::string& text) { said += text.rfind("unpacking", 0) == 0; };
  const std::string message = message_of<SharedError>([&] { mark_together(wanted, world_); });
  EXPECT_NE(message.find(file + ": cannot be read"), std::string::npos) << message;
  EXPECT_EQ(message, world_.broadcast(message));
  EXPECT_EQ(world_.sum(said), 1);
}

class LeftOverTest : public testing::FolderTest {
 protected:
  DataOptions options(const std::string& file) const {
    DataOptions wanted{"idx:" + file, 12, 2, 2, at::kFloat};
    wanted.access.memory = 0;
    wanted.access.cache = path("cache");
    return wanted;
  }

  // The file in `folder` whose name has `part` in it.
  static std::string only(const std::string& folder, const std::string& part) {
    for (const auto& entry : fs::directory_iterator(folder))
      if (const std::string name = entry.path().string(); name.find(part) != std::string::npos) return name;
    return "";
  }

  // Of what was left of `path` only what may still be written is kept by `again`, which writes it anew.
  static void expect_removed(const std::string& path, const std::function<void()>& again) {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    const std::string none = ".4194305";  // more than any process has
    const std::string ended = path + "." + host + none, half = ended + ".new";
    const std::string runs = fmt::format("{}.{}.{}", path, host, ::getppid());
    const std::string elsewhere = path + ".other.node" + none, old = path + ".old.node" + none;
    for (const std::string& name : {ended, half, runs, elsewhere, old, path + "x." + host + none})
      std::ofstream(name) << "left";
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(25));
    fs::remove(path);
    again();
    EXPECT_TRUE(fs::exists(path));
    for (const std::string& name : {ended, half, old}) EXPECT_FALSE(fs::exists(name)) << name;
    for (const std::string& name : {runs, elsewhere, path + "x." + host + none})
      EXPECT_TRUE(fs::exists(name)) << name;
  }
};

TEST_F(LeftOverTest, UnpackedHalfIsRemoved) {
  const std::string file = write_gzip("images.gz", idx_header({20, 4, 12}) + pattern(960));
  load_data(options(file));
  std::string path = only(this->path("cache"), ".rows.lock");
  path.resize(path.size() - 5);
  expect_removed(path, [&] { load_data(options(file)); });
}

TEST_F(LeftOverTest, MarksWrittenHalfAreRemoved) {
  const std::string file = write("images", idx_header({20, 4, 12}) + pattern(960));
  const auto mark = [&] { fingerprint(options(file), load_data(options(file))); };
  mark();
  expect_removed(only(path(""), ".images.whence-"), mark);
}

TEST_F(LeftOverTest, NothingOfRowsThatAreAsSmallAsTheirMarks) {
  const std::string file = write("images", idx_header({20, 4, 4}) + pattern(320));
  DataOptions wanted = options(file);
  const DataSplit data = load_data(wanted);
  EXPECT_TRUE(data.train.instances.held());
  fingerprint(wanted, data);
  EXPECT_EQ(only(path(""), ".whence-"), "");
  wanted.dtype = at::kDouble;
  EXPECT_FALSE(load_data(wanted).train.instances.held());
}

}  // namespace
}  // namespace whence
