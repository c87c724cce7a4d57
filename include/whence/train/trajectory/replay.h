#pragma once
// The states between recorded steps, computed again from the recorded one before them.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/train/loop.h"

namespace whence {

/// Which way the steps are asked for. Trace-back walks `back`, retraining `forth`.
enum class Walk { back, forth };

/// The recorded states of a run.
struct RecordedStates {
  std::string name;                             ///< of the file, for messages
  std::vector<std::int64_t> steps;              ///< ascending; the last is the end of the run
  std::function<at::Tensor(std::int64_t)> row;  ///< the state [S] before such a step, on the device
};

/// Who replays, and with how much memory.
struct ReplayOptions {
  Walk walk;
  /// They share each step's mini-batch as in training, with one all-reduce a step, and all of them ask for
  /// the same states in the same order. So trace-back replays, whose ranks walk in step: on as many ranks as
  /// trained the run its bits are those of training. Retraining, whose ranks take blocks as they come and
  /// whose results have the same bits on any number of ranks, replays on one rank alone (MPI_COMM_SELF).
  Communicator ranks;
  std::int64_t memory;  ///< bytes that states may take on this rank
};

/// Gives the state before any step from the first recorded one on.
///
/// `forth` keeps the state it gave last and goes on from there. `back` keeps states of the stretch between
/// two recorded steps in a stack, placed by the binomial rule of Griewank and Walther (Algorithm 799:
/// revolve, ACM TOMS 2000): c states reach back over binomial(c + r, c) steps, each taken at most r times. It
/// keeps no more than what r = 2 needs, about sqrt(2 n) states for a stretch of n, or what fits 16 MiB (r =
/// 1); and fewer, with a larger r, where `memory` is less than that.
///
/// The first time that a stretch is entered it is replayed to its end and compared with the recorded row
/// there.
class Replay {
 public:
  Replay(const Training& training, RecordedStates recorded, ReplayOptions options);

  /// The state before step t. Error when t is before the first recorded step, or when a stretch does not meet
  /// the next recorded row within rounding; UsageError naming --memory when fewer than 4 states fit.
  at::Tensor state(std::int64_t t);

  /// What was replayed and how well it met the recorded rows, in words; "" where nothing was. Error as
  /// above. Collective over `ranks`, which may be other ranks than those that replay.
  std::string report(const Communicator& ranks);

  std::int64_t steps_taken() const { return steps_taken_; }
  /// Largest number of states that were kept at once.
  std::int64_t most_kept() const { return most_kept_; }
  /// Largest |replayed - recorded| / largest |recorded| at the end of a stretch.
  double largest_distance();

 private:
  struct State {
    std::int64_t step;
    at::Tensor values;
  };
  struct Meeting {
    std::int64_t from, to;
    at::Tensor distance;  // relative, one number
  };
  void enter(std::int64_t from, std::int64_t t);
  void advance(std::int64_t t, std::int64_t last);
  void keep(std::int64_t step, const at::Tensor& values);
  void look_at_meetings();

  Training training_;
  RecordedStates recorded_;
  ReplayOptions options_;
  std::int64_t from_ = -1, room_ = 0;  // the stretch that was entered last, and how many states it may keep
  std::vector<State> kept_;            // ascending
  std::vector<Meeting> meetings_;      // not looked at yet
  std::int64_t steps_taken_ = 0, steps_since_look_ = 0, most_kept_ = 0;
  double largest_distance_ = 0;
};

/// How many times at most each of the n - 1 steps from a kept state on is taken to have all n states from
/// there backwards, keeping `states` of them, that one included.
std::int64_t times_taken(std::int64_t n, std::int64_t states);

/// What walking back from the end of a run to step `first` costs beside the recorded rows.
struct ReplayNeeds {
  std::int64_t steps;   ///< at most
  std::int64_t states;  ///< kept at once, with those in motion
};
ReplayNeeds replay_needs(const std::vector<std::int64_t>& recorded, std::int64_t first,
                         std::int64_t state_bytes, std::int64_t memory);

}  // namespace whence
