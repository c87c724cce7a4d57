"""An error on any rank ends all ranks within seconds, with one sentence and an exit code that is not 0."""
import os
import socket
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)
MPIRUN = [os.environ.get("MPIRUN", "mpirun"),
          *os.environ.get("MPIRUN_OPTIONS", "--oversubscribe --allow-run-as-root").split()]


def run(mode, ranks=3):
    """Exit code and the lines of standard error that are Whence's; mpirun adds some of its own."""
    command = [*MPIRUN, "-n", str(ranks), PROGRAM, mode]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        stderr = program.communicate(timeout=20)[1]
    except subprocess.TimeoutExpired:
        program.terminate()  # not kill: mpirun takes its ranks along
        program.communicate()
        raise AssertionError(f"{mode} on {ranks} ranks still ran after 20 s") from None
    return program.returncode, [line for line in stderr.splitlines() if line.startswith("whence ")]


def said_by(rank):
    """The one line of a rank that failed among several."""
    return ["whence rehearsal: rank %d (%s): on purpose" % (rank, socket.gethostname())]


class Abort(unittest.TestCase):
    def test_without_errors_it_ends_in_order(self):
        self.assertEqual(run("none"), (0, []))

    def test_one_failing_rank_ends_those_that_wait_for_it(self):
        code, lines = run("one")
        self.assertNotEqual(code, 0)
        self.assertEqual(lines, said_by(1))

    def test_also_when_it_holds_a_work_queue(self):
        code, lines = run("queue")
        self.assertNotEqual(code, 0)
        self.assertEqual(lines, said_by(1))

    def test_an_error_of_all_ranks_is_told_once(self):
        for mode, told in (("all", said_by(0)), ("root", said_by(0)), ("together", ["whence rehearsal: on purpose"]),
                           ("together-last", said_by(4))):
            with self.subTest(mode):
                code, lines = run(mode, ranks=5)
                self.assertEqual(code, 1)
                self.assertEqual(lines, told)

    def test_two_ranks_whose_turns_come_together_tell_one_sentence(self):
        # Also on a machine that has other work: processes that compute take the ranks' time.
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
        try:
            for _ in range(3):
                code, lines = run("same-turn", ranks=3)
                self.assertNotEqual(code, 0)
                self.assertIn(lines, (said_by(0), said_by(1)))
        finally:
            for process in busy:
                process.kill()
                process.wait()

    def test_a_usage_error_is_told_once_with_exit_code_2(self):
        for ranks in (1, 3):
            with self.subTest(ranks=ranks):
                self.assertEqual(run("usage", ranks), (2, ["whence rehearsal: on purpose"]))

    def test_a_rank_that_alone_refuses_its_options_is_named(self):
        self.assertEqual(run("usage-together"), (2, said_by(2)))

    def test_a_usage_error_of_one_rank_ends_all(self):
        code, lines = run("usage-of-one")
        self.assertNotEqual(code, 0)
        self.assertEqual(len(lines), 1)
        self.assertIn("on purpose", lines[0])

    def test_an_error_of_libtorch_is_one_line(self):
        done = subprocess.run([PROGRAM, "libtorch"], capture_output=True, text=True, timeout=20)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_one_rank_alone_ends_the_same_way(self):
        self.assertEqual(run("all", 1), (1, ["whence rehearsal: on purpose"]))


if __name__ == "__main__":
    unittest.main()
