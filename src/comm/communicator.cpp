#include "whence/comm/communicator.h"

#include <algorithm>

namespace whence {
namespace {

MPI_Datatype mpi_type(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.device().is_cpu(), "MPI needs contiguous CPU tensors");
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    case at::kLong:
      return MPI_INT64_T;
    default:
      fail("MPI: tensors of {} are not supported", at::toString(tensor.scalar_type()));
  }
}

// MPI counts elements in an int; larger tensors go in several messages.
void in_pieces(const at::Tensor& tensor, const std::function<void(void*, int)>& send) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  auto* bytes = static_cast<char*>(tensor.data_ptr());
  for (std::int64_t begin = 0; begin < tensor.numel(); begin += most)
    send(bytes + begin * static_cast<std::int64_t>(tensor.element_size()),
         static_cast<int>(std::min(most, tensor.numel() - begin)));
}

enum class Outcome : std::int64_t { fine, error, usage_error };

}  // namespace

Communicator::Communicator(MPI_Comm borrowed) : comm_(std::make_shared<MPI_Comm>(borrowed)) {
  MPI_Comm_rank(borrowed, &rank_);
  MPI_Comm_size(borrowed, &size_);
}

Communicator Communicator::split(int color) const {
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(handle(), color, rank_, &part);
  Communicator result(part);
  result.comm_ = std::shared_ptr<MPI_Comm>(new MPI_Comm(part), [](MPI_Comm* comm) {
    MPI_Comm_free(comm);
    delete comm;
  });
  if (devices_ != nullptr) result.devices_ = devices_->for_group(result);
  return result;
}

void Communicator::barrier() const { MPI_Barrier(handle()); }

void Communicator::sum(at::Tensor& tensor) const {
  if (!tensor.device().is_cpu()) {
    if (devices_ != nullptr) return devices_->sum({tensor});
    if (size_ == 1) return;
  }
  const MPI_Datatype type = mpi_type(tensor);
  if (size_ == 1) return;
  in_pieces(tensor, [&](void* data, int count) {
    MPI_Allreduce(MPI_IN_PLACE, data, count, type, MPI_SUM, handle());
  });
}

void Communicator::sum(std::vector<at::Tensor>& tensors) const {
  const bool on_device = !tensors.empty() && !tensors.front().device().is_cpu();
  if (devices_ != nullptr && on_device) return devices_->sum(tensors);
  for (at::Tensor& tensor : tensors) sum(tensor);
}

void Communicator::settle() const {
  if (devices_ != nullptr) devices_->settle();
}

std::int64_t Communicator::sum(std::int64_t value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_SUM, handle());
  return value;
}

double Communicator::max(double value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_DOUBLE, MPI_MAX, handle());
  return value;
}

void Communicator::broadcast(at::Tensor& tensor) const {
  if (devices_ != nullptr && !tensor.device().is_cpu()) return devices_->broadcast({tensor});
  const MPI_Datatype type = mpi_type(tensor);
  in_pieces(tensor, [&](void* data, int count) { MPI_Bcast(data, count, type, 0, handle()); });
}

std::int64_t Communicator::broadcast(std::int64_t value) const {
  MPI_Bcast(&value, 1, MPI_INT64_T, 0, handle());
  return value;
}

std::string Communicator::broadcast(const std::string& text) const {
  std::string result(broadcast(static_cast<std::int64_t>(text.size())), '\0');
  if (is_root()) result = text;
  MPI_Bcast(result.data(), static_cast<int>(result.size()), MPI_CHAR, 0, handle());
  return result;
}

std::vector<std::vector<std::uint64_t>> Communicator::gather(const std::vector<std::uint64_t>& values) const {
  const int count = static_cast<int>(values.size());
  std::vector<int> counts(size_), offsets(size_, 0);
  MPI_Gather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, handle());
  for (int r = 1; r < size_; ++r) offsets[r] = offsets[r - 1] + counts[r - 1];
  std::vector<std::uint64_t> all(is_root() ? offsets.back() + counts.back() : 0);
  MPI_Gatherv(values.data(), count, MPI_UINT64_T, all.data(), counts.data(), offsets.data(), MPI_UINT64_T, 0,
              handle());
  std::vector<std::vector<std::uint64_t>> parts;
  for (int r = 0; is_root() && r < size_; ++r)
    parts.emplace_back(all.begin() + offsets[r], all.begin() + offsets[r] + counts[r]);
  return parts;
}

void Communicator::together(const std::function<void()>& work) const {
  Outcome outcome = Outcome::fine;
  std::string message;
  try {
    work();
  } catch (const UsageError& error) {
    outcome = Outcome::usage_error;
    message = one_line(error);
  } catch (const std::exception& error) {
    outcome = Outcome::error;
    message = one_line(error);
  }
  int failing = outcome == Outcome::fine ? size_ : rank_;
  MPI_Allreduce(MPI_IN_PLACE, &failing, 1, MPI_INT, MPI_MIN, handle());
  if (failing == size_) return;

  std::int64_t header[2] = {static_cast<std::int64_t>(outcome), static_cast<std::int64_t>(message.size())};
  MPI_Bcast(header, 2, MPI_INT64_T, failing, handle());
  message.resize(header[1]);
  MPI_Bcast(message.data(), static_cast<int>(message.size()), MPI_CHAR, failing, handle());
  if (static_cast<Outcome>(header[0]) == Outcome::usage_error) throw SharedUsageError(message);
  throw Error(message);
}

void Communicator::on_root(const std::function<void()>& work) const {
  together([&] {
    if (is_root()) work();
  });
}

}  // namespace whence
