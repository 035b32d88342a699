#!/usr/bin/env bash
# shellcheck disable=SC2016,SC1091
# Record what OAR's commands say in every state that a job can be brought into. As root, with the cluster of
# tests/clusters/oar up and idle; takes two minutes and leaves the cluster up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../clusters/oar/env.sh
. "$here/../clusters/oar/env.sh"
into=$here/oar
client_env=$system_home/client.env
# shellcheck source=lib.sh
. "$here/lib.sh"

usual=(oarsub -d "$home" -O "$home/record.log" -E "$home/record.log")
core=(-l core=1,walltime=0:10:0)
submit() { as_user "${usual[@]}" "$@" | sed -n 's/^OAR_JOB_ID=//p' | head -1; }
# look NAME WHERE, becomes STATE JOB
look() { keep "$1" oarstat -J -f --sql "$2" >/dev/null; }
becomes() { until_says 60 "\"state\" : \"$1\"" oarstat -J -f --sql "job_id = $2"; }

# one of each end
keep oarsub "${usual[@]}" "${core[@]}" -n 0123456789abcdef0123456789abcdef "true"
id=$(sed -n 's/^OAR_JOB_ID=//p' "$into/oarsub.out")
becomes Terminated "$id"
look stat_done "job_id IN ($id)"
look stat_by_name "job_name IN ('0123456789abcdef0123456789abcdef')"
exit_7=$(submit "${core[@]}" -n exit_7 "exit 7")
killed=$(submit "${core[@]}" -n killed 'kill -9 $$')
wall=$(submit -l core=1,walltime=0:0:5 -n wall "sleep 100")
becomes Terminated "$exit_7"
becomes Terminated "$killed"
becomes Error "$wall"
look stat_exit_7 "job_id IN ($exit_7)"
look stat_kill_9 "job_id IN ($killed)"
look stat_walltime "job_id IN ($wall)"

# waiting, held, running, deleted
running=$(submit "${core[@]}" -n running "sleep 100")
becomes Running "$running"
held=$(submit "${core[@]}" -n held --hold true)
waiting=$(submit -l core=8,walltime=0:1:0 -n waiting "sleep 1")
keep oarsub_array "${usual[@]}" -l core=2,walltime=0:1:0 -n array --array 3 "sleep 3" >/dev/null
first=$(sed -n 's/^OAR_JOB_ID=//p' "$into/oarsub_array.out" | head -1)
look stat_mixed "job_id IN ($running,$held,$waiting,$first,$((first + 1)),$((first + 2)))"
for _ in {1..100}; do # states that last for a moment only
  as_user oarstat -J -f --sql "job_id = $((first + 1))" >"$into/moment"
  word=$(sed -n 's/.*"state" : "\(.*\)".*/\1/p' "$into/moment")
  [[ $word == Terminated ]] && break
  [[ -e $into/stat_$word.out ]] || { cp "$into/moment" "$into/stat_$word.out"
    printf '%s\t0\t%s\n' "stat_$word" "oarstat -J -f --sql job_id = $((first + 1))" >>"$into/index.tsv"; }
done
rm -f "$into/moment"
keep oardel_several oardel "$running" "$held"
keep oardel_again oardel "$held"
becomes Error "$running"
becomes Error "$held"
look stat_deleted_running "job_id IN ($running)"
look stat_deleted_held "job_id IN ($held)"
keep oarstat_user oarstat -u griduser -J >/dev/null

# refusals and strangers
keep oarsub_no_queue "${usual[@]}" "${core[@]}" -q nowhere true
keep oarsub_too_big "${usual[@]}" -l core=500,walltime=0:1:0 true
keep oarsub_no_property "${usual[@]}" -l unheard_of=1,walltime=0:1:0 true
keep oarsub_bad_where "${usual[@]}" "${core[@]}" -p "no such" true
keep oarsub_no_directory oarsub -d /no/such/directory "${core[@]}" true
keep stat_unknown oarstat -J -f --sql "job_id IN (999999)"
keep stat_bad_sql oarstat -J -f --sql "job_id IN (1"
keep oardel_unknown oardel 999999
foreign=$(cd / && runuser -u nobody -- env -i "${client[@]}" oarsub -d /tmp --hold "${core[@]}" true | sed -n 's/^OAR_JOB_ID=//p')
keep oardel_foreign oardel "$foreign"
runuser -u nobody -- env -i "${client[@]}" oardel "$foreign" >/dev/null
bad=$(sed -n 's/^OAR_JOB_ID=//p' "$into/oarsub_no_directory.out")
[[ -z $bad ]] || { becomes 'Error|Terminated' "$bad"; look stat_no_directory "job_id IN ($bad)"; }

# the node gone, the server gone, the database gone
lost=$(submit "${core[@]}" -n lost "sleep 60")
becomes Running "$lost"
stop 2 node
never=$(submit "${core[@]}" -n never_started true)
sleep 20
look stat_node_gone "job_id IN ($lost,$never)"
look stat_resubmitted "resubmit_job_id IN ($never)"
keep oarnodes_node_gone oarnodes -s
keep oardel_node_gone oardel "$lost" "$never"
sleep 5
look stat_deleted_node_gone "job_id IN ($lost,$never)"
stop 2 server
keep oarsub_no_server "${usual[@]}" "${core[@]}" true
keep oardel_no_server oardel "$lost"
keep stat_no_server oarstat -J -f --sql "job_id IN ($lost)" >/dev/null
stop 10 database
keep stat_no_database timeout 10 oarstat -J -f --sql "job_id IN ($lost)"
"$here/../clusters/oar/down.sh" --purge
"$here/../clusters/oar/up.sh"
