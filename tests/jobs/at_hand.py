"""Programs forked from a process that has loaded them already, in place of started, which takes ten times as long: the
program itself (tests/support/at_hand.cpp), without a terminal and without signals, and Python's scripts."""

import array
import os
import runpy
import select
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings

# Read while libraries are loaded: a command with another value of one of these has to be started.
WHEN_LOADED = ("LD_", "OPENBLAS", "GOTO", "OMP_", "GOMP_", "MKL_", "MALLOC_", "GLIBC_", "ASAN_", "LSAN_")
LARGEST = 100_000  # bytes of a request


def when_loaded():
    return {name: value for name, value in os.environ.items() if name.startswith(WHEN_LOADED)}


class AtHand:
    """A loaded program, until this process ends."""

    _of = {}

    @classmethod
    def of(cls, program):
        """The one of this program; none where it was not built, or where its libraries would load otherwise now."""
        if program not in cls._of:
            loaded = program + "_at_hand"
            cls._of[program] = cls(program, loaded) if os.access(loaded, os.X_OK) else None
        found = cls._of[program]
        return found if found is not None and found.environment == when_loaded() else None

    def __init__(self, program, loaded):
        self.program, self.environment = program, when_loaded()
        self.place = tempfile.TemporaryDirectory(prefix="whence-at-hand-")
        self.path = os.path.join(self.place.name, "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(self.path)
            listening.listen(64)
            # Descriptor 3 of the new process; the shell gives it its place whatever its number here.
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$0" 3<&%d' % listening.fileno(), os.path.abspath(loaded)],
                pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL)

    def as_rank(self):
        """The program that mpirun starts in place of this one, and the environment it needs."""
        folder = os.path.dirname(os.path.abspath(self.program))
        return os.path.join(folder, "at_hand_rank"), {"WHENCE_AT_HAND": self.path, "WHENCE_AT_HAND_PROGRAM": self.program}

    def run(self, command, timeout):
        """Runs a command to its end: its exit status (negative for a signal), output and errors (bytes); None where it has
        to be started. TimeoutExpired, after ending it, when it takes too long."""
        # Open MPI starts no daemon, for further processes that do not come; its processes without one need folders apart.
        environment = {**os.environ, "OMPI_MCA_ess_singleton_isolated": "1",
                       "OMPI_MCA_orte_tmpdir_base": tempfile.mkdtemp(dir=self.place.name)}
        words = [str(word) for word in command]
        parts = [os.getcwd(), str(len(words)), *words, *("%s=%s" % item for item in environment.items())]
        text = b"".join(os.fsencode(part) + b"\0" for part in parts)
        if len(text) > LARGEST:
            return None
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
                socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(self.path)
            handles = array.array("i", [out.fileno(), err.fileno()])
            connection.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
            if not select.select([connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(command, timeout)
            status = int.from_bytes(connection.recv(4), "little")
            out.seek(0)
            err.seek(0)
            return os.waitstatus_to_exitcode(status), out.read(), err.read()


def run_script(path, *arguments):
    """A Python script run to its end, in a fork of this process: what is imported here already (PyTorch takes seconds)
    is not loaded again. As subprocess.run with its output as text."""
    command = [path, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os._exit(_as_main(command, out.fileno(), err.fileno()))
        status = os.waitpid(pid, 0)[1]
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), out.read(), err.read())


def _as_main(command, out, err):
    """The script as the main program, with these files as its output; returns its exit status."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
        sys.argv = command
        warnings.simplefilter("ignore", DeprecationWarning)  # as without unittest, which shows them
        runpy.run_path(command[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code or 0
