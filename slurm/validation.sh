#!/usr/bin/env bash
# The validation of estimates against retraining, over many seeds: trains a run for each seed, estimates influences,
# retrains counterfactuals, and compares the two over all seeds. Each seed goes on to its next job by itself.
#
#   slurm/validation.sh --out runs/validation --seeds 10 --epochs-back 1,5,10,20,50 --targets 200 [options of train]
#
# --metric and --epochs-back go to influence and counterfactual, --kink-width, --crossings, --paths and --grid to
# influence, --targets, --groups, --fraction and --replicas to counterfactual, --critical to validate, --ranks, --nodes,
# --time (of each job) and --at-once (seeds at a time) to SLURM, all others to train. With --groups the table is of LDS.
# --dry-run prints the sbatch lines. Settings of the cluster: slurm/site.conf.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seeds=10
validate=()
option_of_a_job() {
  case $1 in
    --seed) refuse "--seed: --seeds N trains seeds 0 to N-1" ;;
    --metric | --epochs-back) sections -- influence "$1" "$2" -- counterfactual "$1" "$2" ;;
    --kink-width | --grid | --paths | --crossings) sections -- influence "$1" "$2" ;;
    --targets | --replicas | --groups | --fraction) sections -- counterfactual "$1" "$2" ;;
    --critical) validate+=("$1" "$2") ;;
    *) sections -- train "$1" "$2" ;;
  esac
}
read_options option_of_a_job "$@"
[ ${#rest[@]} -eq 0 ] || refuse "'--': options begin with --"

elements=$(elements_of_seeds "$seeds")
begin_pipeline "$elements"
options_of train && submit_stage train '' "${options[@]}"
options_of influence && submit_stage influence train "${options[@]}"
options_of counterfactual && result_of_counterfactual "${options[@]}" && submit_stage counterfactual train "${options[@]}"
submit_table validate validation.json "${validate[@]}"
end_pipeline validation.txt
