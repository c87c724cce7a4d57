#include "whence/comm/communicator.h"

#include <algorithm>

#include <ATen/ops/cat.h>

#include "whence/comm/partition.h"

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

enum class Outcome { fine, error, usage_error };

}  // namespace

std::string rank_and_host() {
  int rank = 0, length = 0;
  char host[MPI_MAX_PROCESSOR_NAME];
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Get_processor_name(host, &length);
  return fmt::format("rank {} ({})", rank, std::string(host, length));
}

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

// Small tensors go in one message, which is quicker; of large ones no copy is made for that.
void Communicator::sum(std::vector<at::Tensor>& tensors) const {
  const bool on_device = !tensors.empty() && !tensors.front().device().is_cpu();
  if (devices_ != nullptr && on_device) return devices_->sum(tensors);
  if (size_ == 1) return;
  const bool alike = std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor& tensor) {
    return tensor.scalar_type() == tensors.front().scalar_type();
  });
  constexpr std::size_t small = std::size_t{1} << 16;
  std::vector<at::Tensor> together, flat;
  for (at::Tensor& tensor : tensors) {
    // By what is the same on every rank: the messages of all have to match.
    if (!alike || tensor.nbytes() > small) {
      at::Tensor whole = tensor.contiguous();
      sum(whole);
      if (!whole.is_same(tensor)) tensor.copy_(whole);
      continue;
    }
    together.push_back(tensor);
    flat.push_back(tensor.reshape({-1}));
  }
  if (flat.empty()) return;
  at::Tensor all = at::cat(flat);
  sum(all);
  std::int64_t begin = 0;
  for (at::Tensor& tensor : together) {
    tensor.copy_(all.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

void Communicator::gather_parts(at::Tensor& whole) const {
  const MPI_Datatype type = mpi_type(whole);
  if (size_ == 1) return;
  std::int64_t done = 0;
  in_pieces(whole, piece_, [&](void* data, int count) {
    std::vector<int> counts, places;  // of each rank's part that lies in this piece
    for (int r = 0; r < size_; ++r) {
      const Range part = part_of(whole.numel(), size_, r);
      const auto place = [&](std::int64_t at) { return std::clamp<std::int64_t>(at - done, 0, count); };
      places.push_back(static_cast<int>(place(part.begin)));
      counts.push_back(static_cast<int>(place(part.end)) - places.back());
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, type, data, counts.data(), places.data(), type, handle());
    done += count;
  });
}

void Communicator::wait_for_device() const {
  if (devices_ != nullptr) devices_->wait_for_device();
}

std::int64_t Communicator::sum(std::int64_t value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_SUM, handle());
  return value;
}

std::int64_t Communicator::min(std::int64_t value) const {
  MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT64_T, MPI_MIN, handle());
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

std::string Communicator::broadcast(const std::string& text, int from) const {
  auto size = static_cast<std::int64_t>(text.size());
  MPI_Bcast(&size, 1, MPI_INT64_T, from, handle());
  std::string result(size, '\0');
  if (rank_ == from) result = text;
  in_pieces(result.data(), size, 1, piece_,
            [&](void* data, int count) { MPI_Bcast(data, count, MPI_CHAR, from, handle()); });
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

void Communicator::share_errors(const std::function<void()>& work, Who who) const {
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
  const auto lowest = static_cast<int>(min(outcome == Outcome::fine ? size_ : rank_));
  if (lowest == size_) return;

  const bool usage = broadcast(outcome == Outcome::usage_error ? "usage" : "", lowest) == "usage";
  const std::string place = broadcast(rank_and_host(), lowest), told = broadcast(message, lowest);
  const bool everyones = min(outcome != Outcome::fine && message == told ? 1 : 0) == 1;
  const std::string sentence =
      everyones || (usage && who == Who::root) ? told : fmt::format("{}: {}", place, told);
  if (usage) throw SharedUsageError(sentence);
  throw SharedError(sentence);
}

void Communicator::on_every_rank(const std::function<void()>& work) const {
  share_errors(work, Who::everyone);
}

void Communicator::on_root(const std::function<void()>& work) const {
  share_errors(
      [&] {
        if (is_root()) work();
      },
      Who::root);
}

}  // namespace whence
