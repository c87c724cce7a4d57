#!/usr/bin/env bash
# TracIn over many seeds: trains a VAE for each seed and scores its training instances at the recorded checkpoints.
#
#   slurm/tracin.sh --out runs/tracin --seeds 3 -- train --game mlp-vae --data mnist:DIR --held-out 1000 --checkpoints 30
#       -- tracin --queries test:128
#
# Other queries of the same runs: once those have ended, the same command with other options of tracin and a --name.
# After each -- the options of one job. Before the first: --out, --seeds, and for SLURM --ranks, --nodes, --time (of
# each job), --at-once (seeds at a time), --dry-run (prints the sbatch lines). Settings of the cluster: slurm/site.conf.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_pipeline train tracin -- "$@"

elements=$(elements_of_seeds "$seeds")
begin_pipeline "$elements"
options_of train && submit_stage train '' "${options[@]}"
options_of tracin && result_of_tracin "${options[@]}" && submit_stage tracin train "${options[@]}"
end_pipeline "seed*/${RESULT[tracin]}"
