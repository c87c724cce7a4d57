#include "whence/retrain/begun_blocks.h"

#include <filesystem>
#include <fmt/format.h>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"

namespace fs = std::filesystem;

namespace whence {

BegunBlocks::BegunBlocks(const std::string& result, Attributes attributes)
    : result_(result), attributes_(std::move(attributes)) {}

std::string BegunBlocks::path(std::int64_t number) const {
  return fmt::format("{}.part.{}", result_, number);
}

void BegunBlocks::load(std::int64_t number, Retraining& block) const {
  if (!fs::exists(path(number))) return;
  const H5File file = open_artifact(path(number), begun_block_schema);
  for (const auto& [name, value] : attributes_)
    if (file.attribute(name) != value)
      fail("{}: was begun with another {}; remove it to begin this block again", path(number), name);
  for (const char* name : {"step", "state"}) file.array(name).verify();
  block.restore(file.array("step").read().item<std::int64_t>(), file.array("state").read());
}

void BegunBlocks::save(std::int64_t number, const Retraining& block) const {
  write_artifact(path(number), begun_block_schema, attributes_, [&](const H5File& file) {
    file.put("step", at::tensor({block.step()}, at::kLong));
    file.put("state", block.state().cpu());
  });
}

void BegunBlocks::remove(std::int64_t number) const { fs::remove(path(number)); }

}  // namespace whence
