#!/usr/bin/env bash
# Data cleansing over many seeds: trains a run for each seed, estimates influences, trains again without the instances
# whose removal is predicted to improve the model, and tells in one table over all seeds what that did.
#
#   slurm/cleansing.sh --out runs/cleansing --seeds 10 -- train --epochs 70 --test 10000 -- influence --metric all,disc-loss
#       -- cleanse --select influence:all,disc-loss,isolation-forest,random --remove 500,1000
#
# After each -- the options of one job. Before the first: --out, --seeds, and for SLURM --ranks, --nodes, --time (of
# each job), --at-once (seeds at a time), --dry-run (prints the sbatch lines). Settings of the cluster: slurm/site.conf.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_pipeline train influence cleanse -- "$@"

elements=$(elements_of_seeds "$seeds")
begin_pipeline "$elements"
options_of train && submit_stage train '' "${options[@]}"
options_of influence && submit_stage influence train "${options[@]}"
options_of cleanse && submit_stage cleanse influence "${options[@]}"
submit_table cleanse-table cleansing.json
end_pipeline cleansing.txt
