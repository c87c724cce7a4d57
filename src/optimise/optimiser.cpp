#include "whence/optimise/optimiser.h"

#include "whence/core/options.h"
#include "whence/optimise/adam.h"
#include "whence/optimise/sgd.h"

namespace whence {

std::shared_ptr<const Optimiser> make_optimiser(const std::string& name) {
  if (name == "sgd") return std::make_shared<Sgd>();
  if (name == "adam") return std::make_shared<Adam>();
  refuse_value("optimiser", name, {"sgd", "adam"});
}

}  // namespace whence
