"""One job by hand, `sbatch CLONE/slurm/JOB.sbatch`, from wherever it is submitted; pipelines as slurm/README.md prints them."""

import glob
import os
import re
import shutil
import subprocess

from slurm_support import SCRIPTS, SITE, SlurmTest
from support import SOURCE, ProgramTest, main, read_bytes, tiny

SBATCH = sorted(os.path.basename(path) for path in glob.glob(os.path.join(SCRIPTS, "*.sbatch")))


class WithoutSlurm(ProgramTest):
    """What SLURM does: a copy of the script in its spool folder, and the folder of `sbatch` in SLURM_SUBMIT_DIR."""

    def run_copy(self, name, *arguments, submit_dir, command=None, **environment):
        """The copy run in submit_dir, with a scontrol that knows the job's Command."""
        spool, tools = self.path("spool"), self.path("tools")
        for folder in (spool, tools, submit_dir):
            os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(SCRIPTS, name), os.path.join(spool, "slurm_script"))
        lines = "JobId=7 JobName=whence\\n   UserId=root(0)\\n   Command=%s\\n   WorkDir=/\\n" % (command or "(null)")
        with open(os.path.join(tools, "scontrol"), "w") as file:
            file.write('#!/bin/sh\n[ "$*" = "show job 7" ] || exit 1\nprintf "%s"\n' % lines)
        os.chmod(os.path.join(tools, "scontrol"), 0o755)
        own = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "WHENCE_SLURM"))}
        own.update(PATH=tools + ":" + os.environ["PATH"], SLURM_SUBMIT_DIR=submit_dir, SLURM_JOB_ID="7",
                   WHENCE_SITE=self.site(), **environment)
        return subprocess.run(["bash", os.path.join(spool, "slurm_script"), *arguments], env=own, cwd=submit_dir,
                              capture_output=True, text=True)

    def site(self):
        """Settings in which the program only says how it was called."""
        path, program = self.path("site.conf"), self.path("program")
        with open(program, "w") as file:
            file.write('#!/bin/sh\necho "called: $*"\n')
        os.chmod(program, 0o755)
        with open(path, "w") as file:
            file.write(SITE.format(scripts="'%s'" % SCRIPTS, whence=program, place=self.place))
            file.write("LAUNCHER_OPTIONS=(--allow-run-as-root -n 1)\n")
        return path

    def test_every_script_finds_its_library_from_anywhere(self):
        elsewhere, link = self.path("else where"), self.path("link.sbatch")
        for name in SBATCH:
            if os.path.lexists(link):
                os.remove(link)
            os.symlink(os.path.join(SCRIPTS, name), link)
            script = os.path.join(SCRIPTS, name)
            for how, words in (("the clone", dict(submit_dir=SOURCE)),
                               ("its folder", dict(submit_dir=SCRIPTS, command=script)),
                               ("elsewhere", dict(submit_dir=elsewhere, command=script + " --out a/b.sbatch")),
                               ("a symlink", dict(submit_dir=elsewhere, command=link)),
                               ("WHENCE_SLURM", dict(submit_dir=elsewhere, WHENCE_SLURM=SCRIPTS))):
                arguments, wanted = ("--some", "option"), "called: %s --some option" % name[:-len(".sbatch")]
                if name == "sweep_table.sbatch":  # a part of sweep.sh, never submitted by hand
                    words["WHENCE_ELEMENTS"] = os.path.join(self.sweep(), "slurm", "elements")
                    arguments, wanted = ("train",), "batch=10: whence train: not done"
                with self.subTest(name, submitted_from=how):
                    done = self.run_copy(name, *arguments, **words)
                    self.assertIn(wanted, done.stdout + done.stderr)

    def sweep(self):
        folder = self.path("sweep")
        os.makedirs(os.path.join(folder, "slurm"), exist_ok=True)
        with open(os.path.join(folder, "slurm", "elements"), "w") as file:
            file.write("batch=10\t--batch\t10\n")
        return folder

    def test_a_script_that_cannot_be_found_ends_in_one_sentence(self):
        stranger = self.path("stranger")  # with a library of its own, which is not ours to run
        os.makedirs(os.path.join(stranger, "slurm"), exist_ok=True)
        for path in ("lib.sh", "slurm/lib.sh"):
            with open(os.path.join(stranger, path), "w") as file:
                file.write("echo a stranger ran\n")
        for name in SBATCH:
            for command in (None, "/absent/" + name):
                done = self.run_copy(name, submit_dir=stranger, command=command)
                self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (2, "", 1), done.stderr)
                for words in (name, "submit from the clone", "WHENCE_SLURM"):
                    self.assertIn(words, done.stderr)

    def test_pipelines_in_the_readme_and_in_their_help_say_where_to(self):
        with open(os.path.join(SOURCE, "slurm", "README.md"), encoding="utf-8") as file:
            readme = file.read()
        printed = re.findall(r"(?m)(?:^|`)(slurm/(\w+)\.sh [^`\n]*)", readme)
        pipelines = {os.path.basename(path)[:-3] for path in glob.glob(os.path.join(SCRIPTS, "*.sh"))} - {"lib"}
        self.assertEqual({name for _, name in printed}, pipelines)
        for name in pipelines:
            own = subprocess.run(["bash", os.path.join(SCRIPTS, name + ".sh"), "--help"], capture_output=True, text=True).stdout
            self.assertIn("  slurm/%s.sh" % name, own)
            printed += re.findall(r"(?m)^ *(slurm/(\w+)\.sh .*)$", own)
        for command, _ in printed:
            self.assertIn(" --out ", command.split(" -- ")[0] + " ", command)


class OnSlurm(SlurmTest):
    def test_a_job_submitted_from_another_folder_trains(self):
        elsewhere = self.path("my project")
        os.makedirs(elsewhere)
        link = os.path.join(elsewhere, "own train.sbatch")
        os.symlink(os.path.join(SCRIPTS, "train.sbatch"), link)
        for number, script in enumerate((os.path.join(SCRIPTS, "train.sbatch"), link)):
            run = self.path("run%d" % number)
            self.cluster.call("sbatch", "--ntasks=1", "--output=" + self.path("log%d" % number), script, "--out", run, *tiny(),
                              "--quiet", cwd=elsewhere, env={"WHENCE_SITE": self.site})
        self.cluster.wait_until_empty(120)
        here = self.train("here", *tiny())
        for number in range(2):
            said = read_bytes(self.path("log%d" % number)).decode()
            self.assertTrue(os.path.exists(self.path("run%d" % number, "trajectory.h5")), said)
            self.assert_same_bytes(self.path("run%d" % number, "trajectory.h5"), os.path.join(here, "trajectory.h5"))


if __name__ == "__main__":
    main()
