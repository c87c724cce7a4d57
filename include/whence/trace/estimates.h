#pragma once
// influence.h5: estimated influences as a file.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/io/artifact.h"
#include "whence/trace/trace_back.h"
#include "whence/train/trajectory/reader.h"

namespace whence {

inline const Schema influence_schema{"whence.influence", 1};

/// Estimated influence of every training instance.
///
/// influence.h5 (H kink widths, M metrics, K horizons, N instances): influence [H,M,K,N], kink_width [H],
/// epochs_back [K], value [M] (V at the end of the run), instance_id [N], adjoint_norm [H,M,L] (|u| on the
/// way back) and norm_steps_back [L] (how many steps back), not in files of earlier versions; of --paths n:
/// spread [H,M,K,N] (standard deviation of the traces along n + 1 paths), path_id [K,n] (the instances that
/// were left out) and path_tau [H,M,K] (Kendall's tau between two of the traces on average; NaN where they
/// have no order); attributes metrics (names, comma
/// between), run (fingerprint of the trajectory), settings, classifier (its fingerprint, or "none"),
/// near_zero_share (in words, for optimisers with second moments: TraceBack::near_zero_shares), crossings
/// (the k for which they were counted, comma between; none where there is no such attribute) and
/// crossings_each (how many, in words).
struct InfluenceEstimates {
  std::vector<std::string> metrics;
  std::vector<double> kink_widths;
  std::vector<std::int64_t> epochs_back;
  std::vector<std::int64_t> instance_ids;
  at::Tensor influence;                            ///< [H, M, K, N] float64; read only
  at::Tensor value;                                ///< [M] float64
  std::string classifier = "none";                 ///< fingerprint of the one that metrics of images judge by
  at::Tensor near_zero = {};                       ///< [H, M], or undefined; written only
  at::Tensor adjoint_norm = {};                    ///< [H, M, L] float64, or undefined
  std::vector<std::int64_t> norm_steps_back = {};  ///< [L]
  at::Tensor spread = {};                          ///< [H, M, K, N] float64; read only
  at::Tensor path_tau = {};                        ///< [H, M, K] float64, or undefined like spread, path_id
  at::Tensor path_id = {};                         ///< [K, n] int64
};

/// The spread of one estimate.
struct SpreadRow {
  std::int64_t width, metric, horizon;
  at::Tensor values;  ///< [N] float64
};

/// What one rank has of the arrays over instances. Those of all ranks are the whole, each number once.
struct EstimateParts {
  InfluencePart influence;
  std::vector<SpreadRow> spread;
};

/// Each rank writes its own parts; what else there is all ranks have. Collective.
void write_influence(const std::string& path, const InfluenceEstimates& estimates, const EstimateParts& parts,
                     const Attributes& attributes, const Communicator& ranks);
/// Error when missing, damaged, of another schema version, or made from another run than the trajectory's.
InfluenceEstimates read_influence(const std::string& path, const Trajectory& trajectory);

}  // namespace whence
