#!/usr/bin/env bash
# Record what Slurm's commands say in every state that a job can be brought into. As root, with the cluster of
# tests/clusters/slurm up (SLURM_VERSION chooses which) with accounting, and idle; takes four minutes, leaves it up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../clusters/slurm/settings.sh
. "$here/../clusters/slurm/settings.sh"
client_env=$system_home/client.env
[[ $slurm_accounting == 1 ]] || die "what is recorded needs accounting"
# "slurm-wlm 22.05.8": the folder is called by what sites call it
version=$(env -i $(cat "$client_env") sbatch --version | sed 's/^slurm-wlm \([0-9]*\.[0-9]*\)\..*/\1/')
into=$here/slurm/$version
# shellcheck source=lib.sh
. "$here/lib.sh"

usual=(sbatch --parsable --no-requeue --export=PATH "--output=$home/record.log" --open-mode=append)
submit() { as_user "${usual[@]}" "$@"; }
as_root() { env -i "${client[@]}" LC_ALL=C "$@"; }
# keep_states NAME JOBS: what the queue and the accounting say of them
keep_states() {
  keep "squeue_$1" squeue --noheader --array --states=all '--format=%i|%T|%r' "--jobs=$2" >/dev/null
  keep_accounts "$1" "$2"
}
keep_accounts() {
  keep "sacct_$1" sacct --noheader --parsable2 --duplicates --format=JobID,State,ExitCode,MaxRSS "--jobs=$2" >/dev/null
}
# is JOB STATE [SECONDS]
is() { until_says "${3:-30}" "^$2" squeue --noheader --states=all --format=%T "--jobs=$1"; }
# accounted JOB STATE: slurmdbd hears of it a moment later
accounted() { until_says 30 "$2" sacct --noheader --parsable2 --allocations --format=State "--jobs=$1"; }
# ended NAME STATE JOB
ended() { is "$3" "$2" "${4:-60}"; accounted "$3" "$2"; keep_states "$1" "$3"; }
node_3=$(as_root sinfo --noheader -N -p grid --format=%N | grep 'n3$')

keep squeue_unknown squeue --noheader --array --states=all '--format=%i|%T|%r' --jobs=999999
keep sacct_unknown sacct --noheader --parsable2 --duplicates --format=JobID,State,ExitCode,MaxRSS --jobs=999999

# one of each end
keep sbatch "${usual[@]}" --job-name=0123456789abcdef0123456789abcdef --wrap true >/dev/null
first=$(cat "$into/sbatch.out")
ended "done" COMPLETED "$first"
keep squeue_by_name squeue --noheader --states=all '--format=%j|%F' --name=0123456789abcdef0123456789abcdef,nobody
keep squeue_by_unknown_name squeue --noheader --states=all '--format=%j|%F' --name=nobody
sleep 2 # a search by name sees only jobs that were eligible before this second
keep sacct_by_name sacct --noheader --parsable2 --allocations --starttime=now-30days --format=JobName,JobID \
  --name=0123456789abcdef0123456789abcdef,nobody
keep squeue_known_and_unknown squeue --noheader --array --states=all '--format=%i|%T|%r' "--jobs=999999,$first"
keep scancel_ended scancel "$first"
keep scancel_unknown scancel 999999
ended exit_7 FAILED "$(submit --wrap 'exit 7')"
ended kill_9 FAILED "$(submit --wrap 'kill -9 $$')"
ended segmentation_fault FAILED "$(submit --wrap 'kill -SEGV $$')"
ended memory 'OUT_OF_MEMORY|FAILED' "$(submit --mem=50 --wrap 'tail /dev/zero')"
ended no_directory 'FAILED|COMPLETED' "$(submit --chdir=/no/such/directory --wrap pwd)"
ended no_output 'FAILED|COMPLETED' "$(as_user sbatch --parsable --output=/no/such/file --wrap true)"

# waiting, running, suspended, ending
keep sbatch_array "${usual[@]}" --array=1-4%2 --wrap 'sleep 3; exit $SLURM_ARRAY_TASK_ID' >/dev/null
array=$(cat "$into/sbatch_array.out")
is "$array" RUNNING
keep_states array_running "$array"
held=$(submit --hold --wrap true)
later=$(submit --begin=now+1hour --wrap true)
after=$(submit --dependency=afterok:999999 --wrap true) || true
many_cpus=$(submit --cpus-per-task=500 --wrap true) || many_cpus=
too_long=$(submit --partition=short --time=10:00 --wrap true) || too_long=
closed=$(submit --partition=closed --wrap true)
tiny=$(submit --qos=tiny --cpus-per-task=2 --wrap true)
running=$(submit --cpus-per-task=2 --wrap 'sleep 100')
is "$running" RUNNING
full=$(submit --nodes=3 --exclusive --wrap true)
sleep 3
keep_states waiting "$held,$later,$closed,$tiny,$full,$running${after:+,$after}${many_cpus:+,$many_cpus}${too_long:+,$too_long}"
keep scancel_waiting scancel "$held"
accounted "$held" CANCELLED
keep_states cancelled_waiting "$held"
as_root scontrol suspend "$running"
is "$running" SUSPENDED
keep_states suspended "$running"
as_root scontrol resume "$running"
is "$running" RUNNING
keep scancel_running scancel "$running"
ended cancelled_running CANCELLED "$running"
by_root=$(submit --wrap 'sleep 100')
is "$by_root" RUNNING
as_root scancel "$by_root"
ended cancelled_by_root CANCELLED "$by_root"
foreign=$(cd / && as_root sbatch --parsable --output=/dev/null --wrap 'sleep 100')
keep scancel_foreign scancel "$foreign"
as_root scancel "$foreign"
as_user scancel -u griduser
until_says 60 NONE sh -c 'squeue --noheader -u griduser --states=PD,R,CG -p grid,closed,preempt | grep . || echo NONE'
keep_states array_ended "$array"

# preempted
lower=$(submit --partition=preempt --nodes=3 --exclusive --wrap 'sleep 100')
is "$lower" RUNNING
higher=$(submit --nodes=3 --exclusive --wrap 'sleep 2')
is "$lower" 'PREEMPTED|CANCELLED'
accounted "$lower" 'PREEMPTED|CANCELLED'
keep_states preempted "$lower"
ended preempting COMPLETED "$higher"
lower=$(as_user sbatch --parsable --requeue --output=/dev/null --partition=preempt --nodes=3 --exclusive --wrap 'sleep 100')
is "$lower" RUNNING
higher=$(submit --nodes=3 --exclusive --wrap 'sleep 2')
is "$lower" PENDING
keep_states preempted_and_requeued "$lower"
as_user scancel "$lower"

# seen a minute later
timeout=$(submit --partition=short --wrap 'sleep 300')

# refusals
keep sbatch_no_partition "${usual[@]}" --partition=nowhere --wrap true
keep sbatch_no_account "${usual[@]}" --account=nobody --wrap true
keep sbatch_no_qos "${usual[@]}" --qos=nothing --wrap true
keep sbatch_no_constraint "${usual[@]}" --constraint=unheard_of --wrap true
keep sbatch_no_resource "${usual[@]}" --gres=unheard_of:1 --wrap true
keep sbatch_too_many_gpus "${usual[@]}" --gpus-per-node=50 --wrap true
keep sbatch_too_much_memory "${usual[@]}" --mem=1T --wrap true
keep sbatch_too_long_array "${usual[@]}" --array=1-80000 --wrap true
keep sbatch_bad_time "${usual[@]}" --time=tomorrow --wrap true
keep sbatch_no_option "${usual[@]}" --no-such-option --wrap true
keep sbatch_no_script "${usual[@]}" /no/such/script
keep sbatch_no_reservation "${usual[@]}" --reservation=nothing --wrap true
keep sbatch_no_cluster "${usual[@]}" --clusters=nowhere --wrap true
keep sbatch_named_cluster "${usual[@]}" --clusters=gridpilot --wrap true
keep squeue_named_cluster squeue --clusters=gridpilot --noheader --array --states=all '--format=%i|%T|%r' \
  "--jobs=$(cut -d';' -f1 "$into/sbatch_named_cluster.out")" >/dev/null
as_root sacctmgr -iQ modify user griduser set MaxSubmitJobs=2 >/dev/null
sleep 1
only=$(submit --hold --wrap true)
keep sbatch_too_many_jobs "${usual[@]}" --wrap true
as_root sacctmgr -iQ modify user griduser set MaxSubmitJobs=-1 >/dev/null
as_user scancel "$only"

# a lost node
lost=$(submit "--nodelist=$node_3" --wrap 'sleep 1000')
again=$(as_user sbatch --parsable --requeue --output=/dev/null "--nodelist=$node_3" --wrap 'sleep 1000')
is "$lost" RUNNING
is "$again" RUNNING
SLURM_VERSION=$slurm_version "$here/../clusters/slurm/lose_node.sh"
is "$lost" NODE_FAIL 90
accounted "$lost" NODE_FAIL
keep_states node_fail "$lost"
keep_states node_fail_requeued "$again"
as_user scancel "$again"
SLURM_VERSION=$slurm_version "$here/../clusters/slurm/up.sh"

ended timeout TIMEOUT "$timeout" 120

# many
many=$(submit --hold --array=1-200 --wrap true)
keep_states many "$many"
as_user scancel "$many"

# nobody there
stop 5 slurmdbd
sleep 1
keep_accounts without_slurmdbd "$first"
stop 5 slurmctld
keep squeue_down squeue --noheader --array --states=all '--format=%i|%T|%r' "--jobs=$first"
keep sbatch_down "${usual[@]}" --wrap true
keep scancel_down scancel "$first"
SLURM_VERSION=$slurm_version "$here/../clusters/slurm/up.sh"
# jobs leave the queue 20 s after their end
until_says 60 'Invalid job id|NONE' sh -c "squeue --noheader --states=all --jobs=$first 2>&1 | grep . || echo NONE"
keep_states forgotten "$first"
