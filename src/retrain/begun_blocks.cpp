#include "whence/retrain/begun_blocks.h"

#include <filesystem>
#include <fmt/format.h>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"

namespace fs = std::filesystem;

namespace whence {

namespace {

const ArrayRules begun_block_arrays{{"step", {at::kLong}, {"1"}, Numbers::not_negative},
                                    {"state", {at::kFloat, at::kDouble}, {"replicas", "state"}}};

}  // namespace

BegunBlocks::BegunBlocks(const std::string& result, Attributes attributes)
    : result_(result), attributes_(std::move(attributes)) {}

std::string BegunBlocks::path(std::int64_t number) const {
  return fmt::format("{}.part.{}", result_, number);
}

void BegunBlocks::verify(const H5File& file) {
  check_contents(file, begun_block_arrays, check_shapes(file, begun_block_arrays));
}

void BegunBlocks::load(std::int64_t number, Retraining& block) const {
  if (!fs::exists(path(number))) return;
  const H5File file = open_artifact(path(number), begun_block_schema);
  if (const std::string differs = difference(file, attributes_); !differs.empty())
    fail("{}: was begun with other options ({}); remove it to begin this block again", path(number), differs);
  const Sizes sizes = check_shapes(file, begun_block_arrays,
                                   {{"replicas", block.replicas()}, {"state", block.state().size(1)}});
  check_contents(file, begun_block_arrays, sizes);
  const auto step = file.array("step").read().item<std::int64_t>();
  const at::Tensor state = file.array("state").read();
  if (step < block.step() || step > block.last_step() || state.scalar_type() != block.state().scalar_type())
    fail("{}: step {} is not part of this block; remove the file", path(number), step);
  block.restore(step, state);
}

void BegunBlocks::save(std::int64_t number, const Retraining& block) const {
  write_artifact(path(number), begun_block_schema, attributes_, [&](const H5File& file) {
    file.put("step", at::tensor({block.step()}, at::kLong));
    file.put("state", block.state().cpu());
  });
}

void BegunBlocks::remove(std::int64_t number) const { fs::remove(path(number)); }

}  // namespace whence
