#!/usr/bin/env bash
# TracIn over many seeds: trains a run for each seed and scores its instances at the recorded checkpoints.
#
#   slurm/tracin.sh --out runs/tracin --seeds 3 -- train --record every:50000 -- tracin OPTIONS
#
# After each -- the options of one job. Before the first: --out, --seeds, and for SLURM --ranks, --nodes, --time (of
# each job), --at-once (seeds at a time), --dry-run (prints the sbatch lines). Settings of the cluster: slurm/site.conf.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_pipeline train tracin -- "$@"

elements=$(elements_of_seeds "$seeds")
begin_pipeline "$elements"
options_of train && submit_stage train '' "${options[@]}"
options_of tracin && submit_stage tracin train "${options[@]}"
end_pipeline 'seed*/tracin.h5'
