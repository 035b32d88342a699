#!/usr/bin/env bash
# shellcheck disable=SC2016,SC1091 # $user is qstat's own word, $PPID the job's
# Record what Grid Engine's commands say in every state that a job can be brought into. As root, with the cluster of
# tests/clusters/grid_engine up and idle; takes two minutes and leaves the cluster up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# shellcheck source=../clusters/grid_engine/env.sh
. "$here/../clusters/grid_engine/env.sh"
into=$here/grid_engine
client_env=$system_home/client.env
# shellcheck source=lib.sh
. "$here/lib.sh"

job=$home/record.sh
as_user sh -c 'printf "#!/bin/sh\n\"\$@\"\n" > record.sh; chmod 755 record.sh'
usual=(qsub -terse -wd "$home" -o "$home/record.log" -j y -S /bin/sh)
stat=(qstat -xml -g d -u '$user')
id_of() { sed 's/\..*//' "$into/$1.out"; }
submit() { as_user "${usual[@]}" "$@"; }
gone() { until_says 40 NONE sh -c "qstat -u griduser | grep -E '^ *$1 ' || echo NONE"; }
ended() { gone "$1"; keep "qacct_$2" qacct -j "$1" >/dev/null; }

# limit_jobs N: jobs that a user may have, 0 for any
limit_jobs() {
  as_admin qconf -sconf global | sed "s/^max_u_jobs .*/max_u_jobs $1/" >"$system_home/conf/global"
  as_admin qconf -Mconf "$system_home/conf/global" >/dev/null
}

keep qstat_nothing "${stat[@]}"
keep qacct_no_file qacct -j 1

# one of each end
keep qsub "${usual[@]}" -N gp_0123456789abcdef0123456789abcdef "$job" true
ended "$(id_of qsub)" "done"
keep qacct_by_name qacct -j gp_0123456789abcdef0123456789abcdef
ended "$(submit -N gp_failed "$job" exit 7)" exit_7
ended "$(submit -N gp_wall -q grid.q -l h_rt=0:0:3 "$job" sleep 100)" h_rt_of_job
ended "$(submit -N gp_soft_wall -q grid.q -l s_rt=0:0:3 "$job" sleep 100)" s_rt_of_job
ended "$(submit -N gp_queue_wall -q short.q "$job" sleep 100)" h_rt_of_queue
ended "$(submit -N gp_cpu -q grid.q -l h_cpu=0:0:2 "$job" sh -c 'while :; do :; done')" h_cpu
ended "$(submit -N gp_memory -q grid.q -l h_vmem=300M "$job" tail /dev/zero)" h_vmem
ended "$(submit -N gp_killed "$job" sh -c 'kill -9 -$PPID 0')" kill_9

# waiting, held, running, suspended, ending
held=$(submit -N gp_held -h "$job" true)
running=$(submit -N gp_running -q grid.q -pe smp 2 "$job" sleep 100)
until_says 10 '<state>r<' "${stat[@]}"
waiting=$(submit -N gp_waiting -q grid.q -pe smp 16 "$job" sleep 1)
too_many=$(submit -N gp_too_many -pe smp 500 "$job" true)
error=$(as_user qsub -terse -N gp_error -wd /no/such/directory -S /bin/sh "$job" true)
array=$(submit -N gp_array -q short.q -t 1-5 "$job" sleep 3)
array=${array%%.*}
error_array=$(as_user qsub -terse -N gp_error_array -wd /no/such/directory -S /bin/sh -t 1-3 "$job" true)
error_array=${error_array%%.*}
until_says 10 '<state>Eqw<' "${stat[@]}"
keep qstat_mixed "${stat[@]}" >/dev/null
keep qstat_without_g_d qstat -xml -u '$user' >/dev/null
keep qstat_plain qstat -u griduser >/dev/null
keep qstat_j_errors qstat -j "$error,$error_array" >/dev/null
keep qstat_j_one_unknown qstat -j "$error,999999" >/dev/null
keep qstat_j_waiting qstat -j "$waiting" >/dev/null
keep qsub_verified_while_full "${usual[@]}" -w e -N gp_full -q grid.q -pe smp 16 "$job" true
keep qalter_verify_hopeless qalter -w v "$too_many"
keep qalter_verify_waiting qalter -w v "$waiting"
keep qalter_verify_error qalter -w v "$error"
as_user qmod -sj "$running" >/dev/null
until_says 10 '<state>s<' "${stat[@]}"
keep qstat_suspended "${stat[@]}" >/dev/null
as_user qmod -usj "$running" >/dev/null
keep qdel_several qdel "$held" "$error" "$error_array" "$too_many" "$running"
keep qdel_element qdel "$array" -t 4
keep qdel_element_dotted qdel "$array.5"
keep qdel_again qdel "$held"
ended "$running" qdel_running
ended "$held" qdel_waiting
ended "$waiting" parallel
gone "$array"
keep qacct_array qacct -j "$array" >/dev/null
keep qacct_owner_days qacct -o griduser -d 1 -j 'gp_*' >/dev/null

# refusals
keep qsub_no_queue "${usual[@]}" -q nowhere.q "$job" true
keep qsub_no_pe "${usual[@]}" -pe nothing 2 "$job" true
keep qsub_no_resource "${usual[@]}" -l unheard_of=1 "$job" true
keep qsub_hopeless_verified "${usual[@]}" -w e -pe smp 500 "$job" true
keep qsub_hopeless_why "${usual[@]}" -w v -pe smp 500 "$job" true
as_admin qmod -d short.q >/dev/null
keep qsub_verified_while_disabled "${usual[@]}" -w e -q short.q -N gp_disabled "$job" true
as_admin qmod -e short.q >/dev/null
keep qsub_bad_name "${usual[@]}" -N 1abc "$job" true
keep qsub_no_script "${usual[@]}" /no/such/script
keep qsub_no_project "${usual[@]}" -P nobody "$job" true
keep qsub_array_too_long "${usual[@]}" -t 1-80000 "$job" true
as_user qdel -u griduser >/dev/null 2>&1 || true
until_says 20 NONE sh -c 'qstat -u griduser | grep . || echo NONE'
limit_jobs 1
as_user "${usual[@]}" -h "$job" true >/dev/null
keep qsub_too_many_jobs "${usual[@]}" "$job" true
limit_jobs 0
keep qdel_unknown qdel 999999
keep qstat_j_unknown qstat -xml -j 999999
keep qacct_unknown qacct -j 999999
keep qacct_unknown_name qacct -j gp_nobody
foreign=$(cd / && runuser -u nobody -- env -i "${client[@]}" qsub -terse -h -b y -o /dev/null -e /dev/null /bin/true)
keep qdel_foreign qdel "$foreign"
runuser -u nobody -- env -i "${client[@]}" qdel "$foreign" >/dev/null

# a lost node: the job stays r, a deletion waits as dr; back again it is Rr or has failed 19
lost=$(submit -N gp_lost -q grid.q "$job" sleep 60)
again=$(submit -N gp_again -q grid.q -r y "$job" sleep 60)
deleted=$(submit -N gp_deleted -q grid.q "$job" sleep 60)
until_says 10 "gp_deleted.*" sh -c "qstat -u griduser | awk '\$5 == \"r\" {n++} END {if (n == 3) print \"gp_deleted\"}'"
kill -KILL "$(pid_of execd)"
jobs_of_node=$(ps -o pid= --ppid "$(ps -o pid= -C sge_shepherd | tr -d ' ' | paste -sd,)" || true)
pkill -KILL -x sge_shepherd
for pid in $jobs_of_node; do kill -KILL -- "-$pid" 2>/dev/null || true; done
keep qdel_of_lost qdel "$deleted"
until_says 30 'au|u' sh -c "qstat -f | awk '/^grid.q@/ {print \$6}'"
keep qstat_node_lost "${stat[@]}" >/dev/null
keep qstat_f_node_lost qstat -f >/dev/null
until_says 40 Rq qstat -u griduser || true
keep qstat_rescheduled "${stat[@]}" >/dev/null
keep qsub_verified_while_lost "${usual[@]}" -w e -N gp_verified "$job" true
"$here/../clusters/grid_engine/up.sh"
gone "$lost"
keep qacct_node_lost qacct -j "$lost" >/dev/null
until_says 20 'Rr' qstat -u griduser || true
keep qstat_restarted "${stat[@]}" >/dev/null
as_user qdel "$again" >/dev/null || true
gone "$again"
keep qacct_restarted qacct -j "$again" >/dev/null
keep qacct_deleted_while_lost qacct -j "$deleted" >/dev/null

# many
submit -N gp_many -h -t 1-200 "$job" true >/dev/null
keep qstat_many "${stat[@]}" >/dev/null
as_user qdel -u griduser >/dev/null || true

# nobody there
"$here/../clusters/grid_engine/down.sh"
keep qstat_down "${stat[@]}"
keep qsub_down "${usual[@]}" "$job" true
keep qdel_down qdel 1
keep qacct_down qacct -j 1 >/dev/null
"$here/../clusters/grid_engine/up.sh"
