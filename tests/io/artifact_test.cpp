// Result files: refused in one sentence unless whole and of the right kind; never there in part.
#include "whence/io/artifact.h"

#include <algorithm>
#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "whence/core/error.h"
#include "whence/core/provenance.h"

#include "io/folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using testing::bytes_of;
using testing::message_of;
using testing::write_bytes;

const Schema schema{"whence.cake", 2};

class Artifact : public testing::OwnFolder {
 protected:
  /// A good file, and its name.
  std::string bake(const Schema& kind = schema) const {
    write_artifact(path("cake.h5"), kind, {{"oven", "180 degrees\nfan"}},
                   [](const H5File& file) { file.put("crumbs", at::arange(1000, at::kDouble)); });
    return path("cake.h5");
  }
  /// Names in the folder.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder_)) all.push_back(entry.path().filename());
    std::sort(all.begin(), all.end());
    return all;
  }
};

// One line that begins with the file's name.
void expect_sentence_about(const std::string& file, const std::string& message) {
  EXPECT_EQ(message.find(file + ": "), 0u) << message;
  EXPECT_GT(message.size(), file.size() + 10) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

std::string refusal(const std::string& file) {
  return message_of([&] { open_artifact(file, schema); });
}

TEST_F(Artifact, SaysWhatItIsAndWhereItCameFrom) {
  const H5File file = open_artifact(bake(), schema);
  EXPECT_EQ(file.attribute("schema"), "whence.cake");
  EXPECT_EQ(file.attribute("schema_version"), "2");
  EXPECT_EQ(file.attribute("whence_version"), version());
  EXPECT_EQ(file.attribute("git_sha"), git_sha());
  EXPECT_EQ(file.attribute("sign_convention"), sign_convention);
  EXPECT_EQ(file.attribute("oven"), "180 degrees\nfan");
  file.array("crumbs").verify();
  EXPECT_EQ(names(), std::vector<std::string>{"cake.h5"});
}

TEST_F(Artifact, SaysHowItsAttributesDifferAndWhichItWasMadeWithout) {
  const H5File file = open_artifact(bake(), schema);
  const Attributes own{{"oven", "180 degrees\nfan"}};
  EXPECT_EQ(difference(file, own), "");
  EXPECT_EQ(difference(file, {{"oven", "gas"}}), "oven is '180 degrees\\nfan' there and 'gas' here");
  EXPECT_EQ(difference(file, {{"oven", "180 degrees\nfan"}, {"tin", "round"}}),
            "tin is 'none' there and 'round' here");
  EXPECT_EQ(difference(file, {{"tin", "none"}}), "") << "as if it had been made with none";
}

TEST_F(Artifact, RefusesAMissingFile) {
  EXPECT_EQ(refusal(path("none.h5")), path("none.h5") + ": no such file");
}

TEST_F(Artifact, RefusesWhatIsNotHdf5) {
  for (const std::string& content : {std::string(), std::string("not HDF5\n"), std::string(5000, '\0')}) {
    write_bytes(path("text.h5"), content);
    expect_sentence_about(path("text.h5"), refusal(path("text.h5")));
  }
}

TEST_F(Artifact, RefusesAFolderInOneSentence) { expect_sentence_about(folder_, refusal(folder_)); }

TEST_F(Artifact, RefusesATruncatedFile) {
  const std::string file = bake(), bytes = bytes_of(file);
  for (const std::size_t kept : {std::size_t{20}, bytes.size() / 4, bytes.size() / 2, bytes.size() - 1}) {
    write_bytes(file, bytes.substr(0, kept));
    expect_sentence_about(file, refusal(file));
  }
}

TEST_F(Artifact, RefusesAnotherSchemaOrVersion) {
  const std::string file = bake({"whence.pie", 2});
  EXPECT_EQ(refusal(file), file + ": holds 'whence.pie', not 'whence.cake'");
  bake({"whence.cake", 3});
  EXPECT_EQ(refusal(file),
            file + ": has version 3 of the schema whence.cake, but this Whence reads version 2");
  bake();
  EXPECT_EQ(refusal(file), "no error");
}

TEST_F(Artifact, RefusesHdf5OfOthers) {
  H5File::create(path("other.h5")).put("a", at::ones({3}));
  expect_sentence_about(path("other.h5"), refusal(path("other.h5")));
}

// Attributes have no CRC-32 of ours: HDF5's checksum of the object header must find the damage.
TEST_F(Artifact, RefusesADamagedAttribute) {
  const std::string file = bake();
  testing::flip_bit_in(file, "180 degrees\nfan");
  expect_sentence_about(file, message_of([&] { open_artifact(file, schema).attribute("oven"); }));
}

TEST_F(Artifact, IsAbsentUnderItsNameWhenItsWriterFails) {
  const auto fail_half_way = [](const H5File& file) {
    file.put("crumbs", at::ones({10}));
    fail("burnt");
  };
  EXPECT_EQ(message_of([&] { write_artifact(path("cake.h5"), schema, {}, fail_half_way); }), "burnt");
  EXPECT_FALSE(fs::exists(path("cake.h5")));

  const std::string before = bytes_of(bake());
  EXPECT_EQ(message_of([&] { write_artifact(path("cake.h5"), schema, {}, fail_half_way); }), "burnt");
  EXPECT_EQ(bytes_of(path("cake.h5")), before) << "the older file stays";
  EXPECT_EQ(bytes_of(bake()), before) << "what the failed writer left does not disturb the next";
  EXPECT_EQ(names(), std::vector<std::string>{"cake.h5"});
}

TEST_F(Artifact, CannotBeWrittenWhereThereIsNoFolder) {
  const std::string file = path("missing/cake.h5");
  EXPECT_EQ(message_of([&] { write_artifact(file, schema, {}, [](const H5File&) {}); }).find(file), 0u);
}

TEST_F(Artifact, TextsComeBackAndReplaceOlderOnes) {
  for (const std::string& text : {std::string("a longer first text\n"), std::string(),
                                  std::string("a\0\r\nb", 5), std::string(100000, 'x')}) {
    write_text(path("run.cfg"), text);
    EXPECT_EQ(read_text(path("run.cfg")), text);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"run.cfg"});
  expect_sentence_about(path("none"), message_of([&] { read_text(path("none")); }));
  EXPECT_EQ(message_of([&] { write_text(path("missing/run.cfg"), "x"); }).find(path("missing/run.cfg")), 0u);
}

TEST_F(Artifact, RenamingReplacesAndComplainsInOneSentence) {
  write_bytes(path("a"), "new");
  write_bytes(path("b"), "old");
  rename_durably(path("a"), path("b"));
  EXPECT_EQ(bytes_of(path("b")), "new");
  expect_sentence_about(path("a"), message_of([&] { rename_durably(path("a"), path("b")); }));
  expect_sentence_about(path("a"), message_of([&] { flush_to_disk(path("a")); }));
}

TEST_F(Artifact, ReservingKeepsSizeAndContent) {
  {
    const H5File file = H5File::create(path("a.h5"));
    file.create_array("a", at::kDouble, {1 << 17}, Fill::sparse).write(at::ones({1}, at::kDouble), {5});
  }
  const std::uintmax_t size = fs::file_size(path("a.h5"));
  reserve_on_disk(path("a.h5"));
  EXPECT_EQ(fs::file_size(path("a.h5")), size);
  EXPECT_EQ(H5File::open_to_read(path("a.h5")).array("a").read({5}, {1}).item<double>(), 1);
  expect_sentence_about(path("none"), message_of([&] { reserve_on_disk(path("none")); }));
}

TEST_F(Artifact, ARunFolderHasOneWriterAtATime) {
  for (int i = 0; i < 2; ++i) {
    const RunLock lock(folder_);
    EXPECT_EQ(message_of([&] { RunLock second(folder_); }),
              folder_ + ": another job is writing into this run folder");
  }
  EXPECT_EQ(message_of([&] { RunLock after(folder_); }), "no error");
  expect_sentence_about(path("missing/.lock"), message_of([&] { RunLock lock(path("missing")); }));
}

}  // namespace
}  // namespace whence
