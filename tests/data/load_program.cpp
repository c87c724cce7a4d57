// Loads every source that is named on a line of standard input and says in a line of JSON what came of it:
// its shape and checksums, or the message that refused it. For tests/fuzz/data.py, which knows what is right.

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <zlib.h>

#include "whence/core/error.h"
#include "whence/data/dataset.h"

namespace {

unsigned long crc_of(const at::Tensor& tensor) {
  return crc32_z(0, static_cast<const Bytef*>(tensor.data_ptr()), tensor.nbytes());
}

nlohmann::json outcome(const std::string& source) {
  whence::DataOptions options{source, whence::every_instance, 0, 0, at::kDouble};
  options.pixels = whence::PixelRange::zero_to_one;
  try {
    const whence::DataSplit data = whence::load_data(options);
    nlohmann::json said{{"rows", data.train.size()},
                        {"shape", data.train.shape},
                        {"crc", crc_of(data.train.instances.all().contiguous())}};
    if (data.train.labels.defined()) said["labels"] = crc_of(data.train.labels.contiguous());
    return said;
  } catch (const whence::Error& error) {
    return {{"refused", whence::one_line(error)}};
  }
}

}  // namespace

int main() {
  for (std::string source; std::getline(std::cin, source);) std::cout << outcome(source).dump() << std::endl;
}
