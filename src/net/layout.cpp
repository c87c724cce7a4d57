#include "whence/net/layout.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {

std::int64_t ParameterSpec::size() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

void ParameterLayout::add(std::int64_t player, const std::string& name, std::vector<std::int64_t> shape,
                          std::int64_t fan_in, std::int64_t fan_out, bool is_kernel) {
  if (!specs_.empty() && specs_.back().player > player) fail("layout: {} is out of its player's block", name);
  specs_.push_back({name, player, size(), std::move(shape), fan_in, fan_out, is_kernel});
}

std::int64_t ParameterLayout::size() const {
  return specs_.empty() ? 0 : specs_.back().offset + specs_.back().size();
}

std::pair<std::int64_t, std::int64_t> ParameterLayout::block(std::int64_t player) const {
  std::int64_t begin = size(), end = 0;
  for (const ParameterSpec& spec : specs_)
    if (spec.player == player) {
      begin = std::min(begin, spec.offset);
      end = std::max(end, spec.offset + spec.size());
    }
  return {std::min(begin, end), end};
}

std::vector<at::Tensor> ParameterLayout::views(const at::Tensor& params) const {
  std::vector<at::Tensor> tensors;
  for (const ParameterSpec& spec : specs_) {
    std::vector<std::int64_t> shape{params.size(0)};
    shape.insert(shape.end(), spec.shape.begin(), spec.shape.end());
    tensors.push_back(params.narrow(1, spec.offset, spec.size()).view(shape));
  }
  return tensors;
}

at::Tensor ParameterLayout::spread(const at::Tensor& by_player, const at::TensorOptions& options) const {
  at::Tensor result = at::empty({size()}, options);
  for (std::int64_t player = 0; player < player_count(); ++player) {
    const auto [begin, end] = block(player);
    result.narrow(0, begin, end - begin).fill_(by_player[player].item<double>());
  }
  return result;
}

std::string ParameterLayout::json() const {
  nlohmann::json list = nlohmann::json::array();
  for (const ParameterSpec& spec : specs_)
    list.push_back({{"name", spec.name},
                    {"player", players_.at(spec.player)},
                    {"offset", spec.offset},
                    {"shape", spec.shape}});
  return list.dump();
}

at::Tensor glorot_uniform(const ParameterLayout& layout, std::uint64_t seed, at::ScalarType dtype) {
  at::Tensor theta = at::zeros({layout.size()}, at::kDouble);
  double* values = theta.data_ptr<double>();
  for (std::size_t i = 0; i < layout.specs().size(); ++i) {
    const ParameterSpec& spec = layout.specs()[i];
    if (!spec.is_kernel) continue;
    const RandomStream stream(seed, Purpose::initial_parameters, static_cast<std::uint32_t>(i));
    const double limit = std::sqrt(6.0 / static_cast<double>(spec.fan_in + spec.fan_out));
    for (std::int64_t k = 0; k < spec.size(); ++k)
      values[spec.offset + k] = limit * (2.0 * stream.uniform(k) - 1.0);
  }
  return theta.to(dtype);
}

}  // namespace whence
