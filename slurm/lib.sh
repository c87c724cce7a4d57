# What the scripts of this folder share. First half: on the node where jobs are submitted. Second half: inside jobs.
#
# A pipeline works on ELEMENTS (seeds, or lines of a grid), each with a run folder OUT/NAME of its own, through stages
# (train, influence, ...), each of which adds one file to the run folder. OUT/slurm/elements-CRC lists them, one a line:
# NAME <tab> OPTION <tab> VALUE ...; the place in the list, from 0 on, is the array index.

WHENCE_SLURM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=site.conf
source "${WHENCE_SITE:-$WHENCE_SLURM/site.conf}"
if [ -z "$WHENCE" ]; then
  WHENCE=$WHENCE_SLURM/../build/bin/whence # of a clone, or of PREFIX/share/whence/slurm
  installed=$WHENCE_SLURM/../../../bin/whence
  [ -x "$WHENCE" ] || [ ! -x "$installed" ] || WHENCE=$installed
fi
for PYTHON in /usr/bin/python3 python3; do # the system's may be older than the tools take
  ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || break
done

declare -A RESULT=([train]=trajectory.h5 [influence]=influence.h5 [counterfactual]=counterfactual.h5
  [cleanse]=cleansing.h5 [tracin]=tracin.h5) # tracin and counterfactual: see result_of_...
# What a pipeline has found out of these options on submitting, its jobs take from there.
[ -z "${WHENCE_ELEMENTS:-}" ] || RESULT[counterfactual]=${WHENCE_RETRAINED:-counterfactual.h5}

refuse() {
  echo "$(basename "$0"): $1" >&2
  exit 2
}

# ---- submitting ----

declare -A queued        # "STAGE NAME" -> job that will do it, as ID or ID_INDEX
declare -a names=()      # of the elements
declare -a arrays=()     # ids of what this call has submitted
declare -a waited_for=() # ids that the last stage waits for
out='' list='' at_once='' dry_run=''
unsubmitted=0

# common_option NAME VALUE: takes the options that all pipelines have; fails when NAME is not one of them.
common_option() {
  case $1 in
    --out) out=$2 ;;
    --nodes) NODES=$2 ;;
    --ranks) RANKS=$2 ;;
    --time) TIME=$2 ;;
    --at-once) at_once=$2 ;;
    *) return 1 ;;
  esac
}

usage() { sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; }

# read_options OTHERS ARGUMENTS...: seeds and common options up to the first --, which `rest` begins with; whatever else goes
# to the function OTHERS, as NAME VALUE.
read_options() {
  local others=$1
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
      --help | -h) usage && exit ;;
      --dry-run) dry_run=yes && shift && continue ;;
      --*) [ $# -ge 2 ] || refuse "$1: a value is missing" ;;
      *) refuse "'$1': options begin with --" ;;
    esac
    case $1 in
      --seeds) count "$1" "$2" && seeds=$2 ;;
      *) common_option "$1" "$2" || "$others" "$1" "$2" ;;
    esac
    shift 2
  done
  rest=("$@")
}

not_an_option() { refuse "$1: unknown here; options of a job come after '-- JOB'"; }

# read_pipeline STAGES... -- ARGUMENTS...: common options (and seeds), then a section for each of the stages.
read_pipeline() {
  local -A known=()
  while [ "$1" != -- ]; do known[$1]=yes && shift; done
  shift
  seeds=1
  read_options not_an_option "$@"
  sections "${rest[@]}"
  local stage
  for stage in "${!section[@]}"; do [ -n "${known[$stage]:-}" ] || refuse "-- $stage: not a job of this pipeline"; done
}

# sections: sorts "-- JOB OPTION VALUE ... -- JOB ..." into section[JOB], options separated by tabs.
declare -A section
sections() {
  local stage=''
  while [ $# -gt 0 ]; do
    if [ "$1" = -- ]; then
      stage=${2:-}
      [ -n "${RESULT[$stage]:-}" ] || refuse "--: '$stage' is not a job of this pipeline"
      section[$stage]+=''
      shift 2
    else
      section[$stage]+=$1$'\t'
      shift
    fi
  done
}

# options_of STAGE: its section as the array `options`.
options_of() { IFS=$'\t' read -ra options <<<"${section[$1]:-}"; }

# result_of_tracin OPTIONS...: the file that tracin writes with these options.
result_of_tracin() {
  local previous='' option
  for option in "$@"; do
    case $option in --name=*) RESULT[tracin]=tracin-${option#*=}.h5 ;; esac
    [ "$previous" != --name ] || RESULT[tracin]=tracin-$option.h5
    previous=$option
  done
}

# result_of_counterfactual OPTIONS...: the file that counterfactual writes with these options.
result_of_counterfactual() {
  local previous='' option
  for option in "$@"; do
    case $previous$option in --groupsnone | --groups=none) ;; --groups?* | --groups=*) RESULT[counterfactual]=groups.h5 ;; esac
    previous=''
    [ "$option" != --groups ] || previous=--groups
  done
}

# check_training: the options of the first element, as `whence train` sees them, before anything is submitted.
check_training() {
  local first
  IFS=$'\t' read -ra first <<<"$1"
  options_of train
  "$WHENCE" train --out "$out/${first[0]}" "${first[@]:1}" "${options[@]}" --dry-run >/dev/null || exit 2
}

# elements_of_seeds COUNT: lines of the list, one a seed.
elements_of_seeds() {
  local seed
  for ((seed = 0; seed < $1; ++seed)); do printf 'seed%d\t--seed\t%d\n' "$seed" "$seed"; done
}

count() { # count OPTION VALUE: a whole number of at least 1, or the end
  [[ $2 =~ ^[1-9][0-9]*$ ]] || refuse "$1: '$2' is not a whole number of at least 1"
}

# begin_pipeline LINES: of the list of elements. Refuses what is wrong, makes OUT, and finds out what is in the queue.
begin_pipeline() {
  [ -n "$out" ] || refuse "--out: a folder for the runs is required"
  [ -x "$WHENCE" ] || refuse "$WHENCE: no such program (WHENCE in site.conf says where it is)"
  count --nodes "$NODES" && count --ranks "$RANKS"
  [ -z "$at_once" ] || count --at-once "$at_once"
  [[ $NOTICE =~ ^[0-9]+$ ]] || refuse "NOTICE in site.conf: '$NOTICE' is not a number of seconds"
  case $LAUNCHER in mpirun | srun) ;; *) refuse "LAUNCHER in site.conf: '$LAUNCHER' is neither mpirun nor srun" ;; esac
  out=$(realpath -m "$out")
  [[ ! $out =~ [[:space:],:] ]] || refuse "--out: $out has a space, a comma or a colon, which sbatch cannot pass on"
  local lines=$1
  check_training "$lines"
  list=$out/slurm/elements-$(cksum <<<"$lines" | cut -d' ' -f1)
  mapfile -t names < <(cut -f1 <<<"$lines")
  [ -n "$dry_run" ] || { mkdir -p "$out/slurm/log" && printf '%s\n' "$lines" >"$list"; }

  local id index comment name
  while read -r id index comment; do
    [ "${comment%%:*}" = whence ] && [[ $comment == *":$out/slurm/"* ]] || continue
    if [[ $index =~ ^[0-9]+$ ]]; then
      name=$(sed -n "$((index + 1))p" "${comment##*:}" 2>/dev/null | cut -f1)
      queued["$(cut -d: -f2 <<<"$comment") $name"]=${id}_$index
    else
      queued["$(cut -d: -f2 <<<"$comment") "]=$id
    fi
  done < <(squeue --me -h -r -o '%F %K %k' 2>/dev/null)
}

# sbatch_line STAGE DEPENDENCY ARRAY SCRIPT ARGUMENTS...: submits, or prints with --dry-run; sets `id`.
sbatch_line() {
  local stage=$1 dependency=$2 array=$3 script=$4
  shift 4
  local command=(sbatch --parsable "--job-name=whence-$stage" "--comment=whence:$stage:$list"
    "--chdir=$PWD" "--output=$out/slurm/log/slurm-%A_%a.log" "--export=ALL,WHENCE_SLURM=$WHENCE_SLURM,WHENCE_ELEMENTS=$list,WHENCE_RETRAINED=${RESULT[counterfactual]}"
    "--time=$TIME" "--signal=B:USR1@$NOTICE")
  [ -z "$PARTITION" ] || command+=("--partition=$PARTITION")
  [ -z "$ACCOUNT" ] || command+=("--account=$ACCOUNT")
  [ -z "$MEMORY_PER_CPU" ] || command+=("--mem-per-cpu=$MEMORY_PER_CPU")
  if [ -n "$array" ]; then
    command+=("--nodes=$NODES" "--ntasks=$RANKS" "--array=$array${at_once:+%$at_once}")
    [ -z "$GPUS_PER_NODE" ] || command+=("--gpus-per-node=$GPUS_PER_NODE")
  else
    command+=(--nodes=1 --ntasks=1)
  fi
  [ -z "$dependency" ] || command+=("--dependency=$dependency" --kill-on-invalid-dep=yes)
  command+=("${SBATCH_OPTIONS[@]}" "$WHENCE_SLURM/$script" "$@")
  if [ -n "$dry_run" ]; then
    unsubmitted=$((unsubmitted + 1))
    id=ID$unsubmitted
    printf '%q ' "${command[@]}" | sed 's/ $/\n/'
  else
    id=$("${command[@]}") || exit 1
    id=${id%%;*}
  fi
  arrays+=("$id")
}

# submit_stage STAGE BEFORE OPTIONS...: STAGE for every element that has not its result yet and is not in the queue for
# it. An element waits for its own BEFORE where that is in the queue, and for nothing where it is done.
submit_stage() {
  local stage=$1 before=$2 index name dependency id
  shift 2
  local -A groups=()
  for index in "${!names[@]}"; do
    name=${names[index]}
    [ ! -e "$out/$name/${RESULT[$stage]}" ] || continue
    if [ -n "${queued["$stage $name"]:-}" ]; then
      waited_for+=("${queued["$stage $name"]}")
      continue
    fi
    dependency=${before:+${queued["$before $name"]:-}}
    # Corresponding elements of two arrays have the same index.
    case $dependency in '') ;; *_"$index") dependency=aftercorr:${dependency%_*} ;; *) dependency=afterok:$dependency ;; esac
    groups[${dependency:-none}]+=${groups[${dependency:-none}]:+,}$index
  done
  for dependency in $(printf '%s\n' "${!groups[@]}" | sort); do
    sbatch_line "$stage" "${dependency#none}" "${groups[$dependency]}" "$stage.sbatch" "$@"
    waited_for+=("$id")
    for index in ${groups[$dependency]//,/ }; do queued["$stage ${names[index]}"]=${id}_$index; done
    printf '%-15s job %s: %s\n' "$stage" "$id" "$(elements_of "${groups[$dependency]}")"
  done
}

elements_of() { # "0,1,2" as names; the first and the last where they are many
  local indices=() first last
  IFS=, read -ra indices <<<"$1"
  first=${names[indices[0]]} last=${names[indices[-1]]}
  case ${#indices[@]} in 1) echo "$first" ;; 2) echo "$first, $last" ;; *) echo "$first ... $last (${#indices[@]})" ;; esac
}

# submit_table STAGE RESULT ARGUMENTS...: one job once all others have ended, however they ended. Not where OUT/RESULT is
# younger than everything it is made from, or is already waited for.
submit_table() {
  local stage=$1 result=$2 before=${queued["$1 "]:-} id ids
  shift 2
  if [ ${#arrays[@]} -eq 0 ]; then
    [ -z "$before" ] || return 0
    if [ -e "$out/$result" ] && [ -z "$(find "$out" -mindepth 2 -maxdepth 2 -name '*.h5' -newer "$out/$result")" ]; then
      return 0
    fi
  elif [ -n "$before" ] && [ -z "$dry_run" ]; then
    scancel "$before" # it does not wait for what was submitted now
  fi
  ids=$(printf '%s\n' "${waited_for[@]}" | sort -u | paste -sd:)
  sbatch_line "$stage" "${ids:+afterany:$ids}" '' "$stage.sbatch" "$@"
  printf '%-15s job %s: the table of all, once they have ended\n' "$stage" "$id"
}

# end_pipeline FILE: says what to look at.
end_pipeline() {
  [ -z "$dry_run" ] || return 0
  echo
  [ ${#arrays[@]} -eq 0 ] || echo "queue:   squeue --jobs=$(IFS=, && echo "${arrays[*]}")"
  echo "logs:    $out/slurm/log"
  echo "result:  $out/$1"
  echo "Running the same command again submits only what is missing or failed."
}

# ---- inside a job ----

# begin_job STAGE: loads what the job needs; as an array element, finds its run folder and sends what is said to its log.
begin_job() {
  stage=$1
  [ ${#MODULES[@]} -eq 0 ] || module load "${MODULES[@]}"
  prepare
  element_options=()
  [ -n "${WHENCE_ELEMENTS:-}" ] || return 0
  out=$(dirname "$(dirname "$WHENCE_ELEMENTS")")
  [ -n "${SLURM_ARRAY_TASK_ID:-}" ] || return 0
  IFS=$'\t' read -ra element_options < <(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$WHENCE_ELEMENTS")
  run=$out/${element_options[0]}
  element_options=("${element_options[@]:1}")
  exec >>"$out/slurm/log/$(basename "$run").$stage.log" 2>&1
}

# run_whence JOB OPTIONS...: runs the job on all ranks of the allocation and ends with its exit code. A signal (time is
# nearly up, preemption) makes the ranks save what they have and leave; then the job queues itself again. So does one that
# came before the ranks were started, which the scripts count in `asked` from their first line on.
run_whence() {
  echo "--- $(date '+%Y-%m-%d %H:%M:%S') job ${SLURM_JOB_ID:-} on ${SLURM_JOB_NODELIST:-$(hostname)}, start $((${SLURM_RESTART_COUNT:-0} + 1)): whence $*"
  wait_for_orphans "$@"
  [ "$asked" -eq 0 ] || requeue 'before the ranks were started'
  local launcher=(mpirun)
  local own
  own=$(dirname "$WHENCE")
  [ ! -x "$own/mpirun" ] || launcher=("$own/mpirun")
  if [ -e "$own/environment" ] && [ -z "${WHENCE_MPI:-}" ] && [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
    refuse "a bundle's own MPI starts ranks on one node alone; WHENCE_MPI, in site.conf, names the site's for $SLURM_JOB_NUM_NODES"
  fi
  [ "$LAUNCHER" = mpirun ] || launcher=(srun --mpi=pmix)
  # SIGTERM to a whole job also reaches mpirun, which then gives its ranks one second, or this long. It sleeps that long
  # twice, also when ranks have left: 5 keeps the whole within 20 s.
  export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-5}
  local code=0 before=0 pid device=()
  # Jobs that compute do so on the GPUs that were asked for, unless they are told where.
  case $1 in
    train | influence | counterfactual | cleanse | tracin)
      [ -z "$GPUS_PER_NODE" ] || [[ " $* " == *" --device "* ]] || device=(--device cuda) ;;
  esac
  "${launcher[@]}" "${LAUNCHER_OPTIONS[@]}" "$WHENCE" "$@" "${device[@]}" &
  pid=$!
  trap 'asked=$((asked + 1)); kill -USR1 $pid 2>/dev/null' USR1 TERM
  [ "$asked" -eq 0 ] || kill -USR1 "$pid" 2>/dev/null
  # A trapped signal ends `wait` but not the ranks.
  while :; do
    before=$asked
    wait "$pid" && code=0 || code=$?
    [ "$asked" -ne "$before" ] || break
  done
  if [ "$code" -eq 75 ] || { [ "$asked" -gt 0 ] && [ "$code" -ne 0 ]; }; then requeue "exit code $code"; fi
  return "$code"
}

# requeue WHY: puts this job into the queue again and ends it.
requeue() {
  local job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
  echo "--- interrupted ($1); into the queue again"
  trap '' USR1 TERM
  if scontrol requeue "${job:-$SLURM_JOB_ID}"; then
    # Leaving before SLURM ends this script would count as done; staying on after its SIGTERM holds the nodes for KillWait,
    # and what SLURM still sends to this start may then reach the next one.
    trap 'kill "$!" 2>/dev/null; exit 75' TERM
    sleep 300 &
    wait "$!"
  fi
  exit 75
}

# After a node was lost, what ran there may still hold the run folder.
wait_for_orphans() {
  local lock
  [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ -n "${run:-}" ] || return 0
  for lock in "$run/.lock" "$run/.lock.$stage"; do
    [ -e "$lock" ] || continue
    flock --wait 600 "$lock" true & # in the background, so that a signal ends the waiting
    wait "$!" || [ "$asked" -gt 0 ] || echo "--- $run is still in use by another job"
  done
}

# tabulate JOB NAME STAGES ARGUMENTS...: whence JOB over all runs that have the results of all STAGES ("train cleanse"), into
# OUT/NAME.json and OUT/NAME.txt; names the other runs and why, and fails where there are any. By hand: just the job.
tabulate() {
  local job=$1 result=$2 stages runs=() name stage code=0 missing
  read -ra stages <<<"$3"
  shift 3
  if [ -z "${WHENCE_ELEMENTS:-}" ]; then
    "$WHENCE" "$job" "$@"
    return
  fi
  exec > >(tee "$out/$result.txt") 2>&1
  missing=$(missing_results "${stages[@]}")
  while IFS=$'\t' read -r name _; do
    grep -q "^$name: " <<<"$missing" || runs+=(--run "$out/$name")
  done <"$WHENCE_ELEMENTS"
  if [ ${#runs[@]} -gt 0 ]; then "$WHENCE" "$job" "${runs[@]}" --out "$out/$result.json" "$@" || code=1; fi
  [ -z "$missing" ] || { printf '\nnot in this table:\n%s\n' "$missing" && code=1; }
  return $code
}

# missing_results STAGES...: a line for each element that lacks a stage's result, with the reason from its log.
missing_results() {
  local name stage reason
  while IFS=$'\t' read -r name _; do
    for stage in "$@"; do
      [ ! -e "$out/$name/${RESULT[$stage]}" ] || continue
      reason=$(grep -h "^whence $stage: " "$out/slurm/log/$name.$stage.log" 2>/dev/null | tail -n 1 || true)
      [ -n "$reason" ] || reason="whence $stage: not done; see $out/slurm/log"
      printf '%s: %s\n' "$name" "$reason"
      break
    done
  done <"$WHENCE_ELEMENTS"
}
