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

// MPI counts elements in an int, and some of its parts bytes; more of them go in several messages.
void in_pieces(void* data, std::int64_t numbers, std::int64_t bytes_each, std::int64_t piece,
               const std::function<void(void*, int)>& send) {
  const std::int64_t most = std::max<std::int64_t>(1, piece / bytes_each);
  auto* bytes = static_cast<char*>(data);
  for (std::int64_t begin = 0; begin < numbers; begin += most)
    send(bytes + begin * bytes_each, static_cast<int>(std::min(most, numbers - begin)));
}

void in_pieces(const at::Tensor& tensor, std::int64_t piece, const std::function<void(void*, int)>& send) {
  in_pieces(tensor.data_ptr(), tensor.numel(), static_cast<std::int64_t>(tensor.element_size()), piece, send);
}

enum class Outcome : std::int64_t { fine, error, usage_error };

}  // namespace

Communicator::Communicator(MPI_Comm borrowed, std::int64_t piece)
    : comm_(std::make_shared<MPI_Comm>(borrowed)), piece_(piece) {
  MPI_Comm_rank(borrowed, &rank_);
  MPI_Comm_size(borrowed, &size_);
}

Communicator Communicator::split(int color) const {
  MPI_Comm part = MPI_COMM_NULL;
  MPI_Comm_split(handle(), color, rank_, &part);
  Communicator result(part, piece_);
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
  in_pieces(tensor, piece_, [&](void* data, int count) {
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
  in_pieces(tensor, piece_, [&](void* data, int count) { MPI_Bcast(data, count, type, 0, handle()); });
}

std::int64_t Communicator::broadcast(std::int64_t value) const {
  MPI_Bcast(&value, 1, MPI_INT64_T, 0, handle());
  return value;
}

std::string Communicator::broadcast(const std::string& text) const {
  std::string result(broadcast(static_cast<std::int64_t>(text.size())), '\0');
  if (is_root()) result = text;
  in_pieces(result.data(), static_cast<std::int64_t>(result.size()), 1, piece_,
            [&](void* data, int count) { MPI_Bcast(data, count, MPI_CHAR, 0, handle()); });
  return result;
}

std::vector<std::vector<std::uint64_t>> Communicator::gather(const std::vector<std::uint64_t>& values) const {
  constexpr int tag = 0;
  std::vector<std::int64_t> counts(size_);
  const auto count = static_cast<std::int64_t>(values.size());
  MPI_Gather(&count, 1, MPI_INT64_T, counts.data(), 1, MPI_INT64_T, 0, handle());
  const auto send = [&](void* data, int numbers) { MPI_Send(data, numbers, MPI_UINT64_T, 0, tag, handle()); };
  if (!is_root()) {
    in_pieces(const_cast<std::uint64_t*>(values.data()), count, sizeof(std::uint64_t), piece_, send);
    return {};
  }
  std::vector<std::vector<std::uint64_t>> parts{values};
  for (int r = 1; r < size_; ++r) {
    parts.emplace_back(counts[r]);
    in_pieces(parts.back().data(), counts[r], sizeof(std::uint64_t), piece_, [&](void* data, int numbers) {
      MPI_Recv(data, numbers, MPI_UINT64_T, r, tag, handle(), MPI_STATUS_IGNORE);
    });
  }
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
