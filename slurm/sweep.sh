#!/usr/bin/env bash
# A parameter sweep: one run for each line of a grid, in a folder named after its parameters, and one table of all.
#
#   slurm/sweep.sh GRID.csv --out runs/sweep --at-once 8 -- train --epochs 50
#   slurm/sweep.sh GRID.csv --out runs/sweep -- train --epochs 50 -- influence --epochs-back 1,5 -- counterfactual --epochs-back 1,5
#
# The grid's first line names options of train, without the dashes; each further line is a run. After each -- the
# options of one job; with influence and counterfactual the table shows how well they agree. Before the first --: --out,
# and for SLURM --ranks, --nodes, --time (of each job), --at-once (runs at a time), --dry-run (prints the sbatch lines).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case ${1:-} in '' | -*) grid='' ;; *) grid=$1 && shift ;; esac
read_pipeline train influence counterfactual -- "$@"
[ -n "$grid" ] || refuse "the first argument is the grid, a CSV file (--help says more)"

elements=$("$PYTHON" "$WHENCE_SLURM/../tools/sweep_table.py" "$grid" --list) || exit 2
begin_pipeline "$elements"
stages=(train)
options_of train && submit_stage train '' "${options[@]}"
for stage in influence counterfactual; do
  [ -n "${section[$stage]+given}" ] || continue
  stages+=("$stage")
  options_of "$stage"
  [ "$stage" != counterfactual ] || result_of_counterfactual "${options[@]}"
  submit_stage "$stage" train "${options[@]}"
done
submit_table sweep_table sweep.csv "${stages[@]}"
end_pipeline sweep.txt
