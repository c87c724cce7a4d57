"""A SLURM of one's own: munged, slurmctld and two slurmd, all on this host, as two nodes n1 and n2."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# Debian puts the daemons into sbin.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "sinfo", "scancel", "srun")
NODES = ("n1", "n2")

# cred_expire: a requeued job may start again after that many seconds, and a job that takes longer to be launched
# fails. SlurmdTimeout: a node whose slurmd is silent
# for that long is down. proctrack/linuxproc and task/none need no rights over cgroups.
SLURM_CONF = """
ClusterName=whence
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={place}/munge.socket,cred_expire={credential}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
SlurmctldTimeout=30
SlurmdTimeout=5
InactiveLimit=0
KillWait=20
MinJobAge=600
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0,requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs={cpus}
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def missing_programs():
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def free_ports(count):
    """Ports nobody listens on; held together so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


LIBC = ctypes.CDLL(None)


def end_with_parent():
    """A daemon ends when the test does, even one that was killed (prctl's PR_SET_PDEATHSIG)."""
    LIBC.prctl(1, signal.SIGTERM)


class Cluster:
    """Starts the daemons in a temporary folder of its own; stop() ends exactly those, by their process ids."""

    def __init__(self, cpus, credential):
        self.place = tempfile.mkdtemp(prefix="whence-slurm-", dir="/tmp")  # short: munge's socket path is limited
        self.cpus, self.credential = cpus, credential
        self.daemons = {}
        self.environment = dict(os.environ, PATH=PATH, SLURM_CONF=os.path.join(self.place, "slurm.conf"))
        for name in list(self.environment):
            if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF":
                del self.environment[name]
        try:
            self._configure()
            self._start_all()
        except BaseException:
            self.stop()
            raise

    def _configure(self):
        os.chmod(self.place, 0o755)
        for name in ("state", "spool-n1", "spool-n2"):
            os.mkdir(os.path.join(self.place, name))
        key = os.path.join(self.place, "munge.key")
        with open(key, "wb") as file:
            file.write(os.urandom(1024))
        os.chmod(key, 0o400)
        with open(os.path.join(self.place, "slurm.conf"), "w") as file:
            file.write(SLURM_CONF.format(host=socket.gethostname().split(".")[0], user="root", place=self.place,
                                         cpus=self.cpus, credential=self.credential, ports=free_ports(4)))
        # Without this slurmd mounts cgroups where it can.
        with open(os.path.join(self.place, "cgroup.conf"), "w") as file:
            file.write("CgroupAutomount=no\n")

    def _start(self, name, *command):
        log = open(os.path.join(self.place, name + ".out"), "ab")
        self.daemons[name] = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, start_new_session=True, preexec_fn=end_with_parent)
        log.close()

    def _start_all(self):
        place = self.place
        self._start("munged", "munged", "--foreground", "--force", "--key-file=" + place + "/munge.key",
                    "--socket=" + place + "/munge.socket", "--pid-file=" + place + "/munged.pid",
                    "--log-file=" + place + "/munged.log", "--seed-file=" + place + "/munge.seed", "--num-threads=2")
        self.wait_for("munge's socket", lambda: os.path.exists(place + "/munge.socket"), 10)
        self._start("slurmctld", "slurmctld", "-D", "-i", "-f", place + "/slurm.conf")
        for node in NODES:
            self.start_node(node)
        self.wait_for("both nodes to be idle", lambda: self.states() == {"n1": "idle", "n2": "idle"}, 40)

    def start_node(self, node):
        self._start("slurmd-" + node, "slurmd", "-D", "-N", node, "-f", self.place + "/slurm.conf")

    def call(self, *command, check=True, **more):
        done = subprocess.run(command, env=dict(self.environment, **more.pop("env", {})), capture_output=True, text=True,
                              timeout=more.pop("timeout", 60), **more)
        if check and done.returncode != 0:
            raise AssertionError("%s: exit %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
        return done

    def states(self):
        """Node -> state, e.g. idle, mixed, draining, down*; nothing while the controller does not answer."""
        done = self.call("sinfo", "-h", "-N", "-o", "%N %T", check=False)
        return dict(line.split() for line in done.stdout.splitlines()) if done.returncode == 0 else {}

    def jobs(self):
        """'ID' or 'ARRAY_INDEX' -> (state, how often restarted), for all jobs that the controller remembers."""
        found = {}
        for record in self.call("scontrol", "-o", "show", "job", check=False).stdout.splitlines():
            fields = dict(word.split("=", 1) for word in record.split() if "=" in word)
            if "JobId" not in fields:
                continue
            name = fields["JobId"]
            if "ArrayTaskId" in fields:
                name = fields["ArrayJobId"] + "_" + fields["ArrayTaskId"]
            found[name] = (fields["JobState"], int(fields.get("Restarts", 0)))
        return found

    def wait_for(self, what, reached, seconds, possible=lambda: True):
        """Until reached(); AssertionError with what SLURM says when it takes too long or is no longer possible()."""
        begin = time.monotonic()
        while not reached():
            if time.monotonic() > begin + seconds or not possible() and not reached():
                raise AssertionError("waited %.0f s for %s\n%s" % (time.monotonic() - begin, what, self.report()))
            time.sleep(0.2)

    def wait_until_empty(self, seconds):
        """Until no job is pending, running or on its way out."""
        self.wait_for("the queue to be empty", lambda: not self.call("squeue", "-h").stdout.strip(), seconds)

    def report(self):
        parts = [self.call(*command, check=False).stdout for command in (
            ("sinfo", "-N"), ("squeue", "-a"), ("scontrol", "-o", "show", "job"))]
        for name in sorted(os.listdir(self.place)):
            if name.endswith((".log", ".out")):
                with open(os.path.join(self.place, name), errors="replace") as file:
                    parts.append("--- %s\n%s" % (name, "".join(file.readlines()[-40:])))
        return "\n".join(parts)

    def kill_node(self, node):
        """kill -9 of the node's slurmd (what it started goes on, as with a daemon that crashed)."""
        self.daemons["slurmd-" + node].kill()
        self.daemons["slurmd-" + node].wait()

    def restore_nodes(self):
        """Starts killed slurmd again and takes nodes back that were drained or down."""
        for node in NODES:
            if self.daemons["slurmd-" + node].poll() is not None:
                self.start_node(node)
            self.wait_for(node + " to answer", lambda: not self.states().get(node, "*").endswith("*"), 30)
            self.call("scontrol", "update", "NodeName=" + node, "State=RESUME", check=False)  # refused where it is up
            self.wait_for(node + " to be up", lambda: self.states()[node] in ("idle", "mixed", "allocated"), 30)

    def stop(self):
        """Cancels what still runs, then ends the daemons, the last started first."""
        with contextlib.suppress(Exception):
            self.call("scancel", "--state=PENDING,RUNNING,SUSPENDED", check=False, timeout=10)
            self.wait_until_empty(15)
        for process in reversed(list(self.daemons.values())):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.place, ignore_errors=True)
