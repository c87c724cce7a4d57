// device_backend.h and nccl_runtime() of the double.

#include "whence/device/backend.h"

#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <mpi.h>
#include <string_view>

#include <ATen/ops/empty.h>

#include "whence/device/nccl_collectives.h"
#include "whence/device/recorded_work.h"

#include "device_double.h"
#include "queue.h"

namespace whence {
namespace {

class Mark : public DeviceMark {
 public:
  void set() override { copies_ = device_double::queue().asked(); }
  void wait() override { device_double::queue().wait_for(copies_); }

 private:
  std::int64_t copies_ = 0;
};

// Calls the work again; like a GPU it records nothing that the host waits for.
class Repeated : public RecordedWork {
 public:
  explicit Repeated(const std::function<void()>& work) : work_(work) {
    const std::int64_t before = device_double::waits();
    work_();
    if (device_double::waits() != before) fail("the double of a GPU: the work waits for the device");
  }
  void again() override { work_(); }

 private:
  std::function<void()> work_;
};

class Recorder : public WorkRecorder {
 public:
  std::unique_ptr<RecordedWork> record(const std::function<void()>& work) override {
    return std::make_unique<Repeated>(work);
  }
};

// Written when MPI is finalised, so not by a process that ends with an error.
int report(MPI_Comm, int, void*, void*) {
  const char* path = std::getenv("DEVICE_DOUBLE_REPORT");
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (path != nullptr)
    std::ofstream(fmt::format("{}.{}", path, rank == nullptr ? "0" : rank))
        << device_double::waits() << " " << device_double::operations() << "\n";
  return MPI_SUCCESS;
}

bool report_at_the_end() {
  int key = MPI_KEYVAL_INVALID;
  MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, report, &key, nullptr);
  MPI_Comm_set_attr(MPI_COMM_SELF, key, nullptr);
  return true;
}

// Collectives over MPI, on the double's memory. All ranks of the world join at the same time, in groups of
// one id each.
class NcclByMpi : public NcclRuntime {
 public:
  Id new_id() override {
    static int made = 0;
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    Id id{};
    id[0] = static_cast<char>(++made);
    id[1] = static_cast<char>(rank);
    return id;
  }
  void* join(const Id& id, int ranks, int rank) override {
    auto* comm = new MPI_Comm;
    const auto color = static_cast<int>(std::hash<std::string_view>()({id.data(), id.size()}) & 0x7fffffff);
    MPI_Comm_split(MPI_COMM_WORLD, color, rank, comm);
    int size = 0;
    MPI_Comm_size(*comm, &size);
    if (size != ranks) fail("the double of NCCL: {} ranks joined in place of {}", size, ranks);
    return comm;
  }
  void group_start() override {}
  void group_end() override {}
  void all_reduce(void* joined, const at::Tensor& tensor) override {
    MPI_Allreduce(MPI_IN_PLACE, tensor.data_ptr(), static_cast<int>(tensor.numel()), type_of(tensor), MPI_SUM,
                  *static_cast<MPI_Comm*>(joined));
  }
  void broadcast(void* joined, const at::Tensor& tensor) override {
    MPI_Bcast(tensor.data_ptr(), static_cast<int>(tensor.numel()), type_of(tensor), 0,
              *static_cast<MPI_Comm*>(joined));
  }
  State state(void*) override { return State::done; }
  std::string reason(void*) override { return ""; }
  void mark(void*) override {}
  bool reached(void*) override { return true; }
  void begin_to_leave(void*) override {}
  void release(void* joined) override { abort(joined); }
  void abort(void* joined) override {
    auto* comm = static_cast<MPI_Comm*>(joined);
    int over = 0;
    MPI_Finalized(&over);
    if (over == 0) MPI_Comm_free(comm);
    delete comm;
  }

 private:
  static MPI_Datatype type_of(const at::Tensor& tensor) {
    return tensor.scalar_type() == at::kFloat    ? MPI_FLOAT
           : tensor.scalar_type() == at::kDouble ? MPI_DOUBLE
                                                 : MPI_INT64_T;
  }
};

}  // namespace

VisibleDevices device_backend::visible() {
  const char* count = std::getenv("DEVICE_DOUBLE_COUNT");
  VisibleDevices found;
  for (int device = 0; device < (count == nullptr ? 2 : std::atoi(count)); ++device)
    found.lines.push_back(fmt::format("{}: a test double", device));
  return found;
}

at::Device device_backend::use(int device) {
  static const bool registered = report_at_the_end();
  (void)registered;
  const c10::Device chosen(c10::DeviceType::PrivateUse1, static_cast<c10::DeviceIndex>(device));
  c10::impl::VirtualGuardImpl(chosen.type()).setDevice(chosen);
  return chosen;
}

void device_backend::use_deterministic_algorithms() {}

at::Tensor device_backend::page_locked(at::IntArrayRef sizes, at::ScalarType dtype) {
  const at::Tensor host = at::empty(sizes, dtype);
  device_double::queue().lock_pages(host);
  return host;
}

std::unique_ptr<DeviceMark> device_backend::mark() { return std::make_unique<Mark>(); }

std::unique_ptr<WorkRecorder> work_recorder() { return std::make_unique<Recorder>(); }

std::shared_ptr<NcclRuntime> nccl_runtime(int) { return std::make_shared<NcclByMpi>(); }

}  // namespace whence
