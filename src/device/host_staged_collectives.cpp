#include "whence/device/host_staged_collectives.h"

namespace whence {

HostStagedCollectives::HostStagedCollectives(const Communicator& ranks)
    : ranks_(std::make_unique<const Communicator>(ranks.handle())) {}

void HostStagedCollectives::sum(const std::vector<at::Tensor>& tensors) {
  for (const at::Tensor& tensor : tensors) {
    at::Tensor host = tensor.to(at::kCPU, tensor.scalar_type(), false, /*copy=*/true);
    ranks_->sum(host);
    tensor.copy_(host);
  }
}

void HostStagedCollectives::broadcast(const std::vector<at::Tensor>& tensors) {
  for (const at::Tensor& tensor : tensors) {
    at::Tensor host = tensor.to(at::kCPU, tensor.scalar_type(), false, /*copy=*/true);
    ranks_->broadcast(host);
    tensor.copy_(host);
  }
}

std::unique_ptr<DeviceCollectives> HostStagedCollectives::for_group(const Communicator& group) const {
  return std::make_unique<HostStagedCollectives>(group);
}

}  // namespace whence
