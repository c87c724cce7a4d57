"""Rooms include only what DESIGN.md section 3 lets them, and files stay short."""
import os
import pathlib
import re
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("WHENCE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))

MAY_INCLUDE = {
    "core": [],
    "comm": ["core"],
    "device": ["core", "comm"],
    "io": ["core", "comm"],
    "data": ["core", "comm", "device", "io"],
    "net": ["core"],
    "native": ["core", "net"],
    "game": ["core", "device", "net", "native"],
    "optimise": ["core"],
    "metric": ["core", "comm", "device", "net", "native", "game"],
    "train": ["core", "comm", "device", "io", "data", "net", "native", "game", "optimise"],
    "trace": ["core", "comm", "device", "io", "data", "net", "native", "game", "optimise", "metric", "train"],
    "retrain": ["core", "comm", "device", "io", "data", "net", "native", "game", "optimise", "metric", "train", "trace"],
    "tracin": ["core", "comm", "device", "io", "data", "net", "native", "game", "optimise", "metric", "train", "trace", "retrain"],
    "density": ["core", "comm", "io", "data"],
    "stats": ["core"],
    "ranking": ["core", "comm", "device", "io", "data", "net", "native", "game", "optimise", "metric", "train", "trace", "retrain", "tracin", "density", "stats"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')
LONGEST_FILE, LONGEST_JOB = 350, 150


def files_of(root):
    """(path, room) of every C++ file; the room is "jobs" there, and None beside the rooms."""
    for top in ("include/whence", "src", "jobs"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                parts = path.relative_to(root / top).parts
                yield path, "jobs" if top == "jobs" else parts[0] if len(parts) > 1 else None


def complaints(root):
    """One sentence for each rule that a file breaks."""
    for path, room in files_of(root):
        name = path.relative_to(root).as_posix()
        lines = path.read_text().splitlines()
        longest = LONGEST_JOB if room == "jobs" and path.suffix == ".cpp" else LONGEST_FILE
        if len(lines) > longest:
            yield f"{name} has {len(lines)} lines, more than {longest}"
        if room != "jobs" and room not in MAY_INCLUDE:
            yield f"{name} is in no known room"
            continue
        for number, line in enumerate(lines, 1):
            included = INCLUDE.match(line)
            if included is None:
                continue
            parts = included[1].split("/")
            if ".." in parts:
                yield f"{name}:{number} includes {included[1]}: write it from whence/ on"
            if parts[0] != "whence":
                continue
            if parts[1] not in MAY_INCLUDE:
                yield f"{name}:{number} includes {included[1]} of no known room"
            elif room not in ("jobs", parts[1]) and parts[1] not in MAY_INCLUDE[room]:
                yield f"{name}:{number}: {room} may not include {parts[1]}"


class Includes(unittest.TestCase):
    def test_this_tree_keeps_the_rules(self):
        self.assertGreater(len(list(files_of(SOURCE))), 50)
        self.assertEqual(list(complaints(SOURCE)), [])

    def test_no_room_reaches_itself_through_others(self):
        def reached(room):
            return set(MAY_INCLUDE[room]).union(*(reached(other) for other in MAY_INCLUDE[room]))

        for room in MAY_INCLUDE:
            self.assertNotIn(room, reached(room))


class MadeUpFiles(unittest.TestCase):
    """The check itself can fail."""

    def complaints_about(self, name, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True)
            path.write_text(text)
            return list(complaints(pathlib.Path(folder)))

    def test_what_is_allowed_passes(self):
        for name, text in (
            ("src/train/a.cpp", '#include "whence/train/a.h"\n#include "whence/io/hdf5.h"\n#include <vector>\n'),
            ("include/whence/core/a.h", '#include <whence_version.h>\n// #include "whence/io/hdf5.h"\n'),
            ("jobs/a.cpp", '#include "job.h"\n#include "whence/stats/a.h"\n' + "\n" * 148),
            ("jobs/job.h", "\n" * 151),
            ("src/density/a.cpp", "\n" * 350),
        ):
            with self.subTest(name):
                self.assertEqual(self.complaints_about(name, text), [])

    def test_forbidden_includes_are_caught(self):
        for name, text, complaint in (
            ("src/core/a.cpp", '\n#include "whence/comm/a.h"\n', "src/core/a.cpp:2: core may not include comm"),
            ("include/whence/io/a.h", '#include <whence/data/a.h>', "include/whence/io/a.h:1: io may not include data"),
            ("src/game/sub/a.cpp", ' # include "whence/io/a.h"', "src/game/sub/a.cpp:1: game may not include io"),
            ("src/stats/a.cpp", '#include "whence/comm/a.h"', "src/stats/a.cpp:1: stats may not include comm"),
            ("jobs/a.cpp", '#include "whence/attic/a.h"', "jobs/a.cpp:1 includes whence/attic/a.h of no known room"),
            ("src/core/b.cpp", '#include "../io/a.h"', "src/core/b.cpp:1 includes ../io/a.h: write it from whence/ on"),
        ):
            with self.subTest(name):
                self.assertEqual(self.complaints_about(name, text), [complaint])

    def test_unknown_rooms_and_long_files_are_caught(self):
        for name, text, complaint in (
            ("src/attic/a.cpp", "", "src/attic/a.cpp is in no known room"),
            ("src/a.cpp", "", "src/a.cpp is in no known room"),
            ("include/whence/a.h", "", "include/whence/a.h is in no known room"),
            ("src/core/a.cpp", "\n" * 351, "src/core/a.cpp has 351 lines, more than 350"),
            ("include/whence/core/a.h", "\n" * 351, "include/whence/core/a.h has 351 lines, more than 350"),
            ("jobs/a.cpp", "\n" * 151, "jobs/a.cpp has 151 lines, more than 150"),
        ):
            with self.subTest(name):
                self.assertEqual(self.complaints_about(name, text), [complaint])


if __name__ == "__main__":
    unittest.main()
