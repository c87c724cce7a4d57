#include "whence/device/devices.h"

#include <ATen/ops/empty.h>

#include "whence/comm/nodes.h"
#include "whence/core/error.h"
#include "whence/device/backend.h"
#include "whence/device/host_staged_collectives.h"
#include "whence/device/nccl_collectives.h"

namespace whence {
namespace {

class NoWait : public DeviceMark {
 public:
  void set() override {}
  void wait() override {}
};

}  // namespace

VisibleDevices visible_devices() { return device_backend::visible(); }

void use_deterministic_algorithms(at::Device device) {
  if (!device.is_cpu()) device_backend::use_deterministic_algorithms();
}

at::Tensor staging_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device) {
  return device.is_cpu() ? at::empty(sizes, dtype) : device_backend::page_locked(sizes, dtype);
}

std::unique_ptr<DeviceMark> device_mark(at::Device device) {
  if (device.is_cpu()) return std::make_unique<NoWait>();
  return device_backend::mark();
}

int device_of(int local_rank, int local_ranks, int devices, bool share) {
  if (local_ranks > devices && !share)
    refuse(
        "--device cuda: {} ranks on this node but {} GPU{}; start one rank a GPU, or let them share with "
        "--share-gpu",
        local_ranks, devices, devices == 1 ? "" : "s");
  return local_rank % devices;
}

at::Device join_devices(const std::string& kind, bool share, Communicator& world) {
  world.on_every_rank([&] {
    if (kind != "cpu" && kind != "cuda") refuse("--device: '{}' is neither cpu nor cuda", kind);
  });
  if (kind == "cpu") return at::kCPU;
  const OnNode place = on_node(world);
  int device = 0;
  at::Device joined = at::kCPU;
  world.on_every_rank([&] {
    const VisibleDevices visible = visible_devices();
    if (visible.lines.empty()) refuse("--device cuda: {}", visible.reason);
    device = device_of(place.rank, place.ranks, static_cast<int>(visible.lines.size()), share);
    joined = device_backend::use(device);
  });
  if (share)
    world.attach(std::make_shared<HostStagedCollectives>(world));
  else
    world.attach(std::make_shared<NcclCollectives>(world, nccl_runtime(device),
                                                   std::chrono::seconds(nccl_patience_seconds)));
  return joined;
}

}  // namespace whence
