#pragma once
// Open MPI's choice of how one-sided operations travel.

#include <optional>
#include <string>

namespace whence {

/// What a settings file of Open MPI sets its parameter `osc` to (the components for one-sided operations);
/// nothing when it doesn't.
std::optional<std::string> osc_in(const std::string& settings);

/// Between nodes that are joined by TCP alone, Open MPI 4 has one-sided operations only in its component
/// pt2pt, which Debian's settings rule out (osc = ^ucx,pt2pt). The same value without pt2pt where it rules
/// that out; nothing otherwise. Every other component stays as it was.
std::optional<std::string> osc_over_tcp(const std::string& system_settings);

/// Applies osc_over_tcp() of the machine's settings to this process, before MPI starts, unless the user has
/// decided: by OMPI_MCA_osc (mpirun --mca osc ...), by settings of their own, or by naming other settings
/// files.
void allow_windows_over_tcp();

}  // namespace whence
