// Where data lie, what their fingerprint says, which labels there are, and lists of ids.
#include "whence/data/places.h"

#include <filesystem>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/data/ids.h"
#include "whence/data/row_file.h"

#include "data/idx_files.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::operator+;
using testing::Bytes;
using testing::message_of;

class Places : public testing::FolderTest {
 protected:
  std::string labelled(const Bytes& labels, const std::string& name = "y.idx") const {
    write("x.idx", testing::idx_header({static_cast<std::uint32_t>(labels.size()), 2, 2}) +
                       testing::pattern(4 * labels.size()));
    return "idx:" + path("x.idx") + "," +
           write(name, testing::idx_header({static_cast<std::uint32_t>(labels.size())}) + labels);
  }
  std::string ids(const std::string& text) const { return write("ids.txt", Bytes(text.begin(), text.end())); }
};

TEST(AbsoluteSource, NamesEveryFileFromTheRoot) {
  const std::string here = fs::current_path().string() + "/";
  EXPECT_EQ(absolute_source("normal2d"), "normal2d");
  EXPECT_EQ(absolute_source("mnist:d"), "mnist:" + here + "d");
  EXPECT_EQ(absolute_source("idx:a,b"), "idx:" + here + "a," + here + "b");
  EXPECT_EQ(absolute_source("cifar10:a,/b,c"), "cifar10:" + here + "a,/b," + here + "c");
  EXPECT_EQ(absolute_source("csv:a.csv,kind"), "csv:" + here + "a.csv,kind");
  EXPECT_EQ(absolute_source("npy:a.npy,y.npy"), "npy:" + here + "a.npy," + here + "y.npy");
  EXPECT_EQ(absolute_source("hdf5:a.h5"), "hdf5:" + here + "a.h5");
  EXPECT_EQ(absolute_source("hdf5:a,b.h5:X,y"), "hdf5:" + here + "a,b.h5:X,y");
  EXPECT_EQ(absolute_source("hdf5:a:train/X"), "hdf5:" + here + "a:train/X");
  EXPECT_EQ(absolute_source("hdf5:a.h5:7"), "hdf5:" + here + "a.h5:7");  // an array named 7
  EXPECT_EQ(absolute_source(""), "");
  EXPECT_EQ(absolute_source("idx:"), "idx:");
}

TEST(AbsolutePlant, NamesTheFilesAndKeepsTheNumber) {
  const std::string here = fs::current_path().string() + "/";
  EXPECT_EQ(absolute_plant("idx:a:7"), "idx:" + here + "a:7");
  EXPECT_EQ(absolute_plant("idx:a,b:7"), "idx:" + here + "a," + here + "b:7");
  EXPECT_EQ(absolute_plant("hdf5:a.h5:7"), "hdf5:" + here + "a.h5:7");
  EXPECT_EQ(absolute_plant("hdf5:a.h5:X,y:7"), "hdf5:" + here + "a.h5:X,y:7");
  EXPECT_EQ(absolute_plant("csv:a.csv,kind:7"), "csv:" + here + "a.csv,kind:7");
  EXPECT_EQ(absolute_plant(""), "");
  EXPECT_EQ(absolute_plant("none"), "none");
}

TEST(Hdf5Place, IsAFileAndItsArrays) {
  const auto parts = [](const std::string& place) {
    const Hdf5Place found = hdf5_place(place);
    return std::vector<std::string>{found.file, found.instances, found.labels};
  };
  using Parts = std::vector<std::string>;
  EXPECT_EQ(parts("a.h5"), (Parts{"a.h5", "", ""}));
  EXPECT_EQ(parts("a.h5:X"), (Parts{"a.h5", "X", ""}));
  EXPECT_EQ(parts("a.h5:g/X,g/y"), (Parts{"a.h5", "g/X", "g/y"}));
  EXPECT_EQ(parts("/run:3/a.h5"), (Parts{"/run:3/a.h5", "", ""}));
  EXPECT_EQ(parts("/run:3/a.h5:X,y"), (Parts{"/run:3/a.h5", "X", "y"}));
  EXPECT_EQ(parts("data"), (Parts{"data", "", ""}));
}

TEST_F(Places, AreFoundBesideARunThatWasMovedWithThem) {
  fs::create_directories(path("new/project/runs/run"));
  fs::create_directories(path("new/project/data"));
  write("new/project/data/x.idx", {1});
  DataOptions options{"idx:/nowhere/old/project/data/x.idx", 1, 1, 0, at::kDouble};
  find_places(options, path("new/project/runs/run"));
  EXPECT_EQ(options.source, "idx:" + fs::canonical(path("new/project/data/x.idx")).string());
  EXPECT_TRUE(missing_places(options).empty());
  options.source = "idx:/nowhere/y.idx";
  find_places(options, path("new/project/runs/run"));
  EXPECT_EQ(missing_places(options), std::vector<std::string>{"/nowhere/y.idx"});
}

TEST_F(Places, LabelsArePartOfTheFingerprint) {
  const DataOptions options{labelled({0, 1, 2, 0, 1, 2}), 4, 2, 0, at::kDouble};
  const std::string before = fingerprint(options, load_data(options));
  EXPECT_NE(before.find(" labels="), std::string::npos);
  labelled({0, 1, 2, 0, 2, 1});
  const std::string after = fingerprint(options, load_data(options));
  EXPECT_FALSE(same_data(before, after));
  EXPECT_TRUE(same_data(before.substr(0, before.find(" labels=")), after));
  DataOptions unlabelled = options;
  unlabelled.source = "idx:" + path("x.idx");
  EXPECT_EQ(fingerprint(unlabelled, load_data(unlabelled)), before.substr(0, before.find(" labels=")));
}

TEST_F(Places, ClassesAreThoseOfAllRows) {
  // Whatever the seed trains on: label 4 is there once.
  DataOptions options{labelled({0, 1, 4, 0, 1, 2, 2, 1}), 2, 2, 0, at::kDouble};
  for (options.seed = 0; options.seed < 5; ++options.seed) EXPECT_EQ(load_data(options).classes, 5);
  options.class_filter = 1;
  options.held_out = 1;
  EXPECT_EQ(load_data(options).classes, 2);
  EXPECT_EQ(load_data({"normal2d", 4, 2, 0, at::kDouble}).classes, 0);
  EXPECT_EQ(load_data({"six-clusters", 20, 2, 0, at::kDouble}).classes, 6);
}

TEST_F(Places, IdsAreReadAsEditorsSaveThem) {
  const std::vector<std::int64_t> expected{3, 5};
  for (const std::string text : {"\xEF\xBB\xBF"
                                 "3\n5\n",
                                 "3\r\n5\r\n\r\n", " 3 \n\n\t5"})
    EXPECT_EQ(ids_in_file("targets", ids(text)), expected) << text;
  const std::string text = "3\n5\n";
  EXPECT_EQ(ids_in_file("targets", write_gzip("ids.gz", Bytes(text.begin(), text.end()))), expected);
}

TEST_F(Places, IdsThatAreNoneAreShown) {
  const auto refusal = [&](const std::string& text) {
    const std::string name = ids(text);
    return message_of<UsageError>([&] { ids_in_file("targets", name); }).substr(13 + name.size());
  };
  EXPECT_EQ(refusal("3\n\xC2\xA0"
                    "5\n"),
            "line 2: '\\xC2\\xA05' is not an instance id (a whole number, one a line)");
  for (const std::string word : {"1,2", "1e3", "+4", "0x4", "1_0", "2.0", "99999999999999999999"})
    EXPECT_EQ(refusal(word), "line 1: '" + word + "' is not an instance id (a whole number, one a line)");
  EXPECT_NE(message_of<UsageError>([&] { ids_in_file("targets", path("none")); }).find(path("none")),
            std::string::npos);
}

}  // namespace
}  // namespace whence
