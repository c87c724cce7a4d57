#include "whence/game/engine.h"

#include "whence/core/error.h"
#include "whence/game/autograd_engine.h"
#include "whence/game/native_engine.h"
#include "whence/game/recorded_engine.h"

namespace whence {

std::shared_ptr<const Engine> make_engine(const std::string& name, const std::shared_ptr<const Game>& game,
                                          at::Device device) {
  if (name != "auto" && name != "native" && name != "torch")
    refuse("--engine: '{}' is not auto, native or torch", name);
  if (name == "native" && !device.is_cpu())
    refuse("--engine: native computes on the CPU, not on {}", device.str());
  if (name == "native" || (name == "auto" && device.is_cpu() && game->native_engine("") != nullptr))
    return std::make_shared<NativeEngine>(game);
  const auto engine = std::make_shared<AutogradEngine>(game);
  if (device.is_cpu()) return engine;
  return std::make_shared<RecordedEngine>(engine);
}

}  // namespace whence
