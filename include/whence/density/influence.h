#pragma once
// Influence of training instances in classical density estimators: what `whence density` computes.
//
// Signs. V is the loss of a query z, -log p(z), and the influence of i is V without i minus V with i, as
// everywhere in Whence: log p(z; X) - log p(z; X without i). This is the sign of the paper (Kong and
// Chaudhuri, NeurIPS 2021, Definition 1, with l = -log p): positive = proponent, z is likelier with i.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/data/dataset.h"

namespace whence::density {

struct EstimatorOptions {
  std::vector<std::string> estimators;  ///< of knn, kde, gmm, in the order of the results
  std::int64_t k;                       ///< of k-NN
  double sigma;                         ///< of KDE, in the units of the data
  bool self_influence;                  ///< whether to compute every instance's influence on itself
  /// Bytes a rank that the data may take in float64: of more, blocks are read when they are needed.
  std::int64_t memory = std::int64_t{1} << 30;
};

/// Points z whose influences are asked for.
struct Queries {
  at::Tensor points;                    ///< [Q, d]
  std::vector<std::int64_t> ids;        ///< [Q], of the instances or of the held-out points
  std::vector<std::int64_t> positions;  ///< [Q]: index in the training set, -1 for a held-out point
};

/// Influences of all N instances on some queries, q of them, by E estimators, in nats, float64: by formula
/// and exactly (by fitting without the instance).
struct DensityTables {
  at::Tensor log_likelihood;  ///< [E, q] log p(z; X)
  at::Tensor closed, exact;   ///< [E, q, N]; closed: formulas (1), (2), (4) as printed
  at::Tensor corrected;       ///< [q, N] the mixture's formula as derived (mixture.h); undefined without one
  at::Tensor distance;        ///< [q, N] |z - x_i|
};

/// Is given the tables of a range of queries by the rank that has computed them.
using TakeTables = std::function<void(Range queries, const DensityTables&)>;

/// What is known of all queries and instances together.
struct DensityInfluence {
  at::Tensor query_log_likelihood;     ///< [E, Q] log p(z; X)
  at::Tensor log_likelihood;           ///< [E, N] log p(x_i; X); undefined without self-influences
  at::Tensor self_closed, self_exact;  ///< [E, N]; the mixture's closed form is (5) as printed
  at::Tensor self_corrected;           ///< [N], as DensityTables::corrected
  at::Tensor largest_difference;       ///< [E] |closed - exact|, over the tables and the self-influences
  double corrected_difference = 0;     ///< |corrected - exact| of the mixture
  std::int64_t not_separated = 0;      ///< mixture: queries and instances that leave their cluster
                                       ///< with their nearest neighbour (other than themselves)
};

/// Refuses, before any work, what no estimator could be fitted to: UsageError for an unknown or repeated
/// estimator, k < 1 or k >= N, sigma <= 0, a mixture of data without clusters, or with an empty cluster or
/// one of one or two instances.
void check_options(const EstimatorOptions& options, const Dataset& train);

/// Computes everything. Collective: blocks of queries, and of pairs of instances, are split over ranks. What
/// is returned is on every rank; the tables of a block are with the rank that had it, which gives them to
/// `take` (it must not communicate), and no rank has those of more than 16 queries at a time. All are the
/// same bits on any number of ranks (with one number of threads a rank). Memory a rank: the data in
/// float64 where they take at most EstimatorOptions::memory (else three blocks of 1,024), 8 bytes for each
/// number of a block's tables, and up to 512 bytes an instance for self-influences. Cost:
/// N^2 d multiplications for the self-influences, 2 N Q d for the tables. `progress` is called with the parts
/// done and to do. Error naming query or instance where a value is not finite (k-NN with R_k = 0), and as
/// PointSet and SphericalMixture say.
DensityInfluence density_influence(const Dataset& train, const Queries& queries,
                                   const EstimatorOptions& options, const Communicator& ranks,
                                   const std::function<void(std::int64_t, std::int64_t)>& progress,
                                   const TakeTables& take);

/// What a block of the self-influences' pairs costs, for an estimate of the time of all N^2 / 2.
class PairTrial {
 public:
  /// Error as density_influence.
  PairTrial(const Dataset& train, const EstimatorOptions& options);
  ~PairTrial();

  /// Works on the pairs of the first block of instances and the next one (of the first alone where there is
  /// no other). From the second time on no instance is new among the neighbours of another, as in most blocks
  /// of a long sweep.
  void visit();
  /// How many pairs those are.
  double pairs() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace whence::density
