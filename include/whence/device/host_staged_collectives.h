#pragma once
// Collectives of device tensors through MPI and host memory.

#include <memory>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/comm/device_collectives.h"

namespace whence {

/// Through MPI and host memory: for several ranks that share a device, which NCCL refuses.
class HostStagedCollectives : public DeviceCollectives {
 public:
  explicit HostStagedCollectives(const Communicator& ranks);

  void sum(const std::vector<at::Tensor>& tensors) override;
  void broadcast(const std::vector<at::Tensor>& tensors) override;
  void wait_for_device() override {}
  std::unique_ptr<DeviceCollectives> for_group(const Communicator& group) const override;

 private:
  std::unique_ptr<const Communicator> ranks_;
};

}  // namespace whence
