#pragma once
// A job's result file: schema and provenance inside, whole or absent under its name.

#include <functional>
#include <map>
#include <string>

#include "whence/io/array_rules.h"
#include "whence/io/hdf5.h"
#include "whence/io/run_lock.h"

namespace whence {

/// Which kind of file it is, and which edition of that kind.
struct Schema {
  std::string name;  ///< e.g. "whence.trajectory"
  int version;
};

/// Text attributes by name, beside those that every file has.
using Attributes = std::map<std::string, std::string>;

/// Writes schema, Whence version, commit, sign convention and `attributes` into a new file.
void describe(const H5File& file, const Schema& schema, const Attributes& attributes);

/// Opens a finished result file; Error in one sentence when it is missing, not HDF5, damaged, or of another
/// schema or version.
H5File open_artifact(const std::string& path, const Schema& schema);

/// How the file's attributes differ from those wanted, in words (core/settings_text.h), or ""; one that the
/// file was made without counts as "none".
std::string difference(const H5File& file, const Attributes& wanted);

/// Changes with the content of any array of a finished result file, and with nothing else: by this a table
/// made of it knows it again when another file has taken its name. CRC-32, as eight hexadecimal digits, of
/// the lines `NAME=CRC` (the array's own CRC-32 in the same form) in alphabetical order of the names. Error
/// naming the file where an array is not sealed.
std::string content_fingerprint(const H5File& file);

/// Writes a small result file by one rank: `fill` writes the arrays into a temporary file beside `path`,
/// which is flushed to disk and then takes the name.
void write_artifact(const std::string& path, const Schema& schema, const Attributes& attributes,
                    const std::function<void(const H5File&)>& fill);

/// What to do with unfinished work (a .part) that was begun with other options.
enum class Unfinished { keep, replace };

/// Whether unfinished work of these attributes lies at `part` and can be gone on with; false when there is
/// none. When it has other attributes, or is no such file: false for Unfinished::replace, otherwise Error in
/// one sentence that says how to go on. By one rank.
bool goes_on(const std::string& part, const Schema& schema, const Attributes& attributes,
             Unfinished unfinished);

/// Deletes `path` and the files beside it whose names go on after it with a dot (`path`.0, `path`.new).
void remove_with_prefix(const std::string& path);

/// fsync of the file or folder.
void flush_to_disk(const std::string& path);
/// Renames and flushes the folder, so that the new name survives a power cut.
void rename_durably(const std::string& from, const std::string& to);
/// Writes a text file the same way: temporary, flush, rename.
void write_text(const std::string& path, const std::string& text);
std::string read_text(const std::string& path);

/// Reserves the whole size on disk of a file that HDF5 allocated sparsely, so that a full disk is an error at
/// the start and not in the middle; Error naming the file and the need.
void reserve_on_disk(const std::string& path);

/// Bytes free on the disk of a folder; where it is not there yet, of the nearest one above it.
double free_disk(const std::string& folder);

/// Deletes what MPI-IO leaves beside a file it wrote: lock files, which stay when a job is killed.
void remove_mpi_locks(const std::string& path);

}  // namespace whence
