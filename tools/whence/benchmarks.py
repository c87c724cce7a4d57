"""Runs the benchmarks of a build folder and prints a markdown table of times and ratios. Everything in a row's
ratio is measured in this one run. Usage: bench_table.py BUILD_DIR [--quick] [--folder PARENT]"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OMP_NUM_THREADS="1")
JOBS = {
    "`whence --version` (start and end alone)": ["--version"],
    "`train`": ["train", "--quiet"],
    "`influence`, 1 metric": ["influence", "--quiet", "--overwrite", "--metric", "all"],
    "`influence`, 2 metrics": ["influence", "--quiet", "--overwrite", "--metric", "all,disc-loss"],
    "`counterfactual`, 64 targets, k = 1": ["counterfactual", "--quiet", "--overwrite", "--metric", "all",
                                            "--targets", "64", "--epochs-back", "1"],
}


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench_table: {' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def mpirun(ranks, command):
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)] + command


def seconds_of(command):
    start = time.monotonic()
    run(command)
    return time.monotonic() - start


def seconds_in(folder, job):
    """What the job itself says it took, without the start and end of its processes."""
    with open(os.path.join(folder, "summary.json")) as file:
        return json.load(file)[job]["seconds"]


def speed_up(seconds):
    return statistics.median(one / two for one, two in zip(seconds[1], seconds[2]))


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def row(what, seconds, ratio="", reference=""):
    print(f"| {what} | {duration(seconds)} | {ratio if isinstance(ratio, str) else f'{ratio:.3g}'} | {reference} |",
          flush=True)


def run_steps(program, quick):
    """Context, and CPU seconds a unit of each benchmark: the median of repetitions taken in random order."""
    result = json.loads(run([program, "--benchmark_format=json", f"--benchmark_min_time={0.05 if quick else 0.2}",
                             f"--benchmark_repetitions={3 if quick else 7}",
                             "--benchmark_enable_random_interleaving=true",
                             "--benchmark_report_aggregates_only=true"]))
    # The random order shows in the output too.
    in_order = sorted(result["benchmarks"], key=lambda b: b["family_index"])
    times = {b["run_name"]: b["cpu_time"] * 1e-6 / b["units"] for b in in_order
             if b["aggregate_name"] == "median"}
    return result["context"], times


def print_steps(times):
    step = times["train/step"]
    row("training step: gradient and move, 1 replica", step)
    row("the same in the training loop (mini-batch, latents, rates, check)", times["train/loop"],
        times["train/loop"] / step, "training step")
    for name, seconds in times.items():
        if not name.startswith("trace/"):
            continue
        _, queries, kink = (part.split(":")[-1] for part in name.split("/"))
        what = f"{queries} {'query' if queries == '1' else 'queries'}, kink width {kink}"
        row(f"trace step, {what}", seconds, seconds / step, "training step")
        single = times[name.replace("trace/", "one_by_one/")]
        row(f"one backward pass an instance, {what}", single, single / seconds, "that trace step")
    for name, seconds in times.items():
        if name.startswith("replicas:"):
            count = name.split(":")[1]
            row(f"counterfactual replica-step, {count} {'alone' if count == '1' else 'together'}", seconds,
                seconds / times["replicas:1"], "replica-step alone")


def print_metrics(times):
    for name, seconds in times.items():
        if name.startswith("all:"):
            row(f"ALL of one replica, N' = {int(name.split(':')[1]):,}", seconds, seconds / times["train/step"],
                "training step")


def print_training_cost(program, folder, engine, quick):
    epochs, pairs = (3, 3) if quick else (20, 5)
    cost = json.loads(run(mpirun(2, [program, "--training-cost", folder, str(epochs), str(pairs), engine])))
    what = f"{cost['steps']} training steps at {cost['ranks']} ranks, engine {engine}"
    bare, recorded = statistics.median(cost["bare"]), statistics.median(cost["recorded"])
    row(f"{what}, nothing written (wall)", bare)
    row(f"{what}, trajectory of {cost['bytes'] / 1e6:.0f} MB written (wall)", recorded, cost["ratio"],
        "nothing written, median of pairs")


def print_jobs(program, folder, quick):
    epochs, pairs = (2, 1) if quick else (10, 3)
    run_folder = os.path.join(folder, "run")
    train = ["--instances", "10000", "--epochs", str(epochs), "--out"]
    run([program, "train", "--quiet"] + train + [run_folder])
    for name, options in JOBS.items():
        walls, own = {1: [], 2: []}, {1: [], 2: []}
        for pair in range(pairs):
            for ranks in walls:
                target, tail = run_folder, ["--run", run_folder]
                if options[0] == "train":
                    target = os.path.join(folder, f"train-{pair}-{ranks}")
                    tail = train + [target]
                elif options[0] == "--version":
                    tail = []
                elif options[0] == "influence":
                    tail += ["--epochs-back", str(epochs)]
                walls[ranks].append(seconds_of(mpirun(ranks, [program] + options + tail)))
                if options[0] != "--version":
                    own[ranks].append(seconds_in(target, options[0]))
        size = f" ({epochs * 100} steps)" if options[0] in ("train", "influence") else ""
        reference = "speed-up over 1 rank, median of pairs"
        if own[1]:
            reference += f"; without start and end {speed_up(own):.3g}"
        row(f"{name}{size}, 1 rank (wall)", statistics.median(walls[1]))
        row(f"{name}{size}, 2 ranks (wall)", statistics.median(walls[2]), speed_up(walls), reference)


QUICKSTART = {
    "train": ["train", "--quiet", "--out"],
    "influence": ["influence", "--quiet", "--epochs-back", "1,5,10", "--kink-width", "0,1e-3", "--run"],
    "counterfactual": ["counterfactual", "--quiet", "--epochs-back", "1,5,10", "--run"],
}


def print_quickstart(program, folder, quick):
    """The quickstart's jobs by either engine, whole processes on 2 ranks."""
    totals = {}
    for engine in ("torch", "native"):
        run_folder = os.path.join(folder, f"quickstart-{engine}")
        seconds = {}
        for job, options in QUICKSTART.items():
            more = ["--engine", engine] if job == "train" else []
            if quick:
                more += {"train": ["--epochs", "10"], "counterfactual": ["--targets", "8"]}.get(job, [])
            seconds[job] = seconds_of(mpirun(2, [program] + options + [run_folder] + more))
        totals[engine] = sum(seconds.values())
        parts = ", ".join(f"{job} {value:.1f} s" for job, value in seconds.items())
        row(f"quickstart's jobs, engine {engine}, 2 ranks (wall): {parts}", totals[engine],
            totals["torch"] / totals[engine], "times faster than torch")


def cpu_model():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def file_system(folder):
    with open("/proc/mounts") as file:
        mounts = [line.split()[:3] for line in file]
    folder = os.path.realpath(folder)
    return max((m for m in mounts if os.path.commonpath([m[1], folder]) == m[1]), key=lambda m: len(m[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", help="build folder with bin/whence and bin/whence_bench")
    parser.add_argument("--quick", action="store_true", help="few and short repetitions, to see that it works")
    parser.add_argument("--folder", help="where to make the temporary folder; default: the system's")
    arguments = parser.parse_args()
    bench, whence = (os.path.join(arguments.build, "bin", name) for name in ("whence_bench", "whence"))
    load = os.getloadavg()[0]
    context, times = run_steps(bench, arguments.quick)
    print("| what | time | ratio | to what |\n|---|---|---|---|")
    print_steps(times)
    print_metrics(times)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        device, mount, kind = file_system(folder)
        for engine in ("torch", "native"):
            print_training_cost(bench, folder, engine, arguments.quick)
        print_jobs(whence, folder, arguments.quick)
        print_quickstart(whence, folder, arguments.quick)
    print(f"\n{cpu_model()}, {os.cpu_count()} cores, {context['compiler']}, LibTorch {context['libtorch']}, "
          f"whence {context['whence']}, {datetime.date.today()}. Load when it started {load:.1f}, when it ended "
          f"{os.getloadavg()[0]:.1f}. Temporary folder: {kind} on {device} ({mount}).\n"
          "Published FCGAN, 2D-Normal, float64, batch 100, LibTorch engine unless said; jobs: native. Steps: CPU time of one thread, medians of repetitions "
          "in random order; wall: whole processes or trainings, in turn. Trace and one backward pass an instance "
          f"agree to {context['largest difference']} of the largest number.\n")
    print("The two engines, one thread (smallest times of many turns):\n")
    print(run([bench, "--engines"]), end="")
