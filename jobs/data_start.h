#pragma once
// How jobs get at their data: --data-memory, --data-cache and --device-memory.

#include "job.h"

namespace whence {

/// Adds --data-memory and --data-cache.
OptionTable& add_access_options(OptionTable& table);

/// What they say. `log`, where given, hears what takes long, and outlives all that loads data by this.
DataAccess access_of(const Options& options, const Log* log = nullptr);

/// The same with --device-memory, for a job that computes on a device.
DataAccess access_on_device(const Options& options, const Log& log);

/// The settings of `whence train`, their data marked by all ranks together (mark_together). Collective.
RunSettings start_settings(const Options& options, const Log& log, const Communicator& world);

/// places_of(), for a job that works on --run with all ranks: what takes long of loading its data is done by
/// them together, before each of them opens the run. Collective.
DataPlaces start_data(const Options& options, const Log& log, const Communicator& world);

}  // namespace whence
