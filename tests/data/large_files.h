#pragma once
// Small files that count as large: their rows stay there, and are held against the same rows in memory.

#include <algorithm>
#include <filesystem>
#include <hdf5.h>
#include <string>
#include <vector>

#include <ATen/ops/tensor.h>

#include "whence/data/dataset.h"

#include "data/idx_files.h"

namespace whence::testing {

// How an array of 20 rows of [4, 4, 3] is stored in an HDF5 file.
struct Stored {
  hid_t type;
  bool chunked = false;
  hsize_t before = 0;  // bytes of the user before the file
};

class FileRowsTest : public FolderTest {
 protected:
  static constexpr hsize_t rows = 20, numbers = 48;

  FileRowsTest() { std::filesystem::create_directory(path("data")); }

  // What is in the data's own folder.
  std::vector<std::string> beside() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path("data")))
      names.push_back(entry.path().filename());
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

}  // namespace whence::testing
