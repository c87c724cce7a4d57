#pragma once
// A test double: answers the calls that NcclCollectives makes by MPI, on tensors in host memory. It keeps the
// order of what it was asked and can be told to fail or to fall silent. No NCCL and no GPU is involved.

#include <cstdlib>
#include <mpi.h>
#include <set>
#include <string>
#include <vector>

#include "whence/device/nccl_collectives.h"

namespace whence {

class NcclOverMpiDouble : public NcclRuntime {
 public:
  enum class Fault { none, refuse_to_join, fail_later, never_done, never_reached, others_stay };

  Fault fault = Fault::none;
  int polls_until_done = 3;  ///< state() says "under way" so many times after each request
  std::vector<std::string> calls;
  std::set<void*> alive;
  int left = 0, aborted = 0;

  Id new_id() override {
    calls.push_back("new_id");
    Id id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<char>(31 * i);
    return id;
  }

  void* join(const Id& id, int ranks, int rank) override {
    calls.push_back("join");
    for (std::size_t i = 0; i < id.size(); ++i)
      if (id[i] != static_cast<char>(31 * i)) fail("join: byte {} of the id was changed on the way", i);
    if (fault == Fault::refuse_to_join) fail("ncclCommInitRankConfig: out of memory");
    auto* joined = new Joined;
    joined->size = ranks;
    joined->rank = rank;
    alive.insert(joined);
    waiting_ = polls_until_done;
    return joined;
  }

  /// From now on requests go over this MPI communicator.
  void connect(MPI_Comm group) { group_ = group; }

  void group_start() override { calls.push_back("("); }

  void group_end() override {
    calls.push_back(")");
    for (const Request& request : queued_) {
      void* data = request.tensor.data_ptr();
      const int count = static_cast<int>(request.tensor.nbytes() / request.tensor.element_size());
      const MPI_Datatype type = request.tensor.scalar_type() == at::kFloat    ? MPI_FLOAT
                                : request.tensor.scalar_type() == at::kDouble ? MPI_DOUBLE
                                                                              : MPI_INT64_T;
      if (fault != Fault::none) continue;
      if (request.sum)
        MPI_Allreduce(MPI_IN_PLACE, data, count, type, MPI_SUM, group_);
      else
        MPI_Bcast(data, count, type, 0, group_);
    }
    queued_.clear();
    waiting_ = polls_until_done;
  }

  void all_reduce(void* joined, const at::Tensor& tensor) override { queue("sum", joined, tensor, true); }
  void broadcast(void* joined, const at::Tensor& tensor) override { queue("copy", joined, tensor, false); }

  State state(void* joined) override {
    EXPECT_TRUE(alive.count(joined) == 1) << "asked after it was left";
    if (fault == Fault::fail_later && calls.back() == ")") return State::failed;
    if (fault == Fault::never_done && calls.back() == ")") return State::under_way;
    if (fault == Fault::others_stay && leaving_) return State::under_way;
    return --waiting_ > 0 ? State::under_way : State::done;
  }

  std::string reason(void*) override { return "remote process exited"; }
  void mark(void*) override { calls.push_back("mark"); }
  bool reached(void*) override { return fault != Fault::never_reached; }

  void begin_to_leave(void*) override {
    leaving_ = true;
    waiting_ = polls_until_done;
  }
  void release(void* joined) override {
    EXPECT_TRUE(leaving_) << "released before it left";
    leaving_ = false;
    ++left;
    forget(joined);
  }
  void abort(void* joined) override {
    leaving_ = false;
    ++aborted;
    forget(joined);
  }

 private:
  struct Joined {
    int size = 0, rank = 0;
  };
  struct Request {
    at::Tensor tensor;
    bool sum;
  };

  void queue(const std::string& name, void* joined, const at::Tensor& tensor, bool sum) {
    EXPECT_TRUE(alive.count(joined) == 1);
    calls.push_back(name);
    queued_.push_back({tensor, sum});
  }

  void forget(void* joined) {
    EXPECT_TRUE(alive.erase(joined) == 1) << "left twice";
    delete static_cast<Joined*>(joined);
  }

  MPI_Comm group_ = MPI_COMM_WORLD;
  std::vector<Request> queued_;
  int waiting_ = 0;
  bool leaving_ = false;
};

}  // namespace whence
