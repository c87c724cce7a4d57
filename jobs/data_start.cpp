#include "data_start.h"

#include "whence/data/shared_marks.h"

namespace whence {
namespace {

std::int64_t mebibytes(const Options& options, const std::string& name) {
  constexpr std::int64_t most = 1 << 30;  // MiB that no machine has: bytes counted from it fit into a number
  const std::int64_t value = options.integer(name, 0);
  if (value > most) refuse("--{} is {}, but must be at most {}", name, value, most);
  return value << 20;
}

}  // namespace

OptionTable& add_access_options(OptionTable& table) {
  return table
      .add<std::int64_t>("data-memory", 256,
                         "MiB a rank: instances that take no more as numbers are held in memory; others are "
                         "read from their files as they are needed",
                         Kind::execution)
      .add<std::string>("data-cache", "",
                        "folder for what is unpacked of large compressed data, and for checksums where the "
                        "data's folder cannot be written into; default: $XDG_CACHE_HOME/whence or "
                        "~/.cache/whence",
                        Kind::execution);
}

DataAccess access_of(const Options& options, const Log* log) {
  DataAccess access;
  access.memory = mebibytes(options, "data-memory");
  access.cache = options.text("data-cache");
  if (log != nullptr) access.say = [log](const std::string& text) { log->say(text); };
  return access;
}

DataAccess access_on_device(const Options& options, const Log& log) {
  DataAccess access = access_of(options, &log);
  access.device_memory = mebibytes(options, "device-memory");
  return access;
}

RunSettings start_settings(const Options& options, const Log& log, const Communicator& world) {
  std::unique_ptr<RunSettings> settings;
  world.on_every_rank([&] {
    settings = std::make_unique<RunSettings>(read_settings(options));
    settings->data.access = access_on_device(options, log);
  });
  mark_together(settings->data, world);
  return *settings;
}

DataPlaces start_data(const Options& options, const Log& log, const Communicator& world) {
  DataPlaces places;
  world.on_every_rank([&] {
    places = places_of(options);
    places.access = access_on_device(options, log);
  });
  DataOptions data{};
  try {
    data = settings_in(options.text("run"), places).data;
  } catch (const std::exception&) {
    data.instances = 0;  // load_data refuses it, and the job says what is wrong when it opens the run
  }
  mark_together(data, world);
  return places;
}

}  // namespace whence
