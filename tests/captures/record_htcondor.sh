#!/usr/bin/env bash
# Record what HTCondor's tools say in every state that a job can be brought into. As root, with the pool of
# tests/clusters/htcondor up and idle; takes two minutes and leaves the pool up.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../clusters/htcondor/env.sh
. "$here/../clusters/htcondor/env.sh"
into=$here/htcondor
client_env=$system_home/client.env
# shellcheck source=lib.sh
. "$here/lib.sh"

attributes=ClusterId,ProcId,JobStatus,GridpilotName,HoldReason,HoldReasonCode,HoldReasonSubCode,LastHoldReason
attributes+=,LastHoldReasonCode,LastHoldReasonSubCode,RemoveReason,ExitCode,ExitBySignal,ExitSignal,NumJobStarts,NumShadowStarts
attributes+=,JobCurrentStartDate,JobDisconnectedDate,StageInFinish,StageOutFinish,MemoryUsage,ResidentSetSize
q=(condor_q -json -attributes "$attributes")
history=(condor_history -json -attributes "$attributes")
remote=(-name gridpilot@localhost -pool "127.0.0.1:$condor_port")

# submit NAME COMMAND LINE...: a job that runs COMMAND in sh, with more lines in its submit file; prints its cluster
submit() {
  local name=$1 command=$2; shift 2
  as_user tee record.sub >/dev/null <<SUBMIT
universe = vanilla
executable = /bin/sh
arguments = "-c '$command'"
+GridpilotName = "$name"
log = $home/record.log
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_memory = 100
request_disk = 1
leave_in_queue = JobStatus == 4
$(printf '%s\n' "$@")
SUBMIT
  if grep -q '^queue' <<<"$*"; then :; else as_user sh -c 'echo queue >>record.sub'; fi
  keep "submit_$name" condor_submit -terse record.sub | sed 's/\..*//'
}
status() { as_user condor_q -af JobStatus -- "$1" 2>/dev/null; }
is() { local deadline=$((SECONDS + 60)); until [[ $(as_user condor_q "$1" -af JobStatus | sort -u) == "$2" ]]; do
  ((SECONDS < deadline)) || { echo "job $1 is not $2" >&2; as_user condor_q "$1" -af JobStatus >&2; return 1; }; sleep 0.2; done; }
seen() { keep "q_$1" "${q[@]}" "$2" >/dev/null; }

as_user rm -f record.log
keep q_nothing "${q[@]}"
keep q_unknown "${q[@]}" 999999 >/dev/null
keep history_unknown "${history[@]}" -limit 1 999999 >/dev/null
keep rm_unknown condor_rm 999999 >/dev/null

# ends
ok=$(submit "done" 'true'); is "$ok" 4; seen "done" "$ok"
failed=$(submit exit_7 'exit 7'); is "$failed" 4; seen exit_7 "$failed"
killed=$(submit signal_9 'kill -9 $$'); is "$killed" 4; seen signal_9 "$killed"
keep rm_done condor_rm "$ok" >/dev/null
keep q_done_removed "${q[@]}" "$ok" >/dev/null
keep history_done "${history[@]}" -limit 1 "$ok" >/dev/null
# shellcheck disable=SC2016 # $(Process) is HTCondor's
array=$(submit array 'sleep 1; exit $(Process)' 'queue 3'); is "$array" 4; seen array "$array"

# waiting, running, held
idle=$(submit never_matches 'true' 'request_cpus = 5000'); is "$idle" 1; seen never_matches "$idle"
running=$(submit running 'sleep 100'); is "$running" 2; seen running "$running"
held=$(submit hold 'true' 'hold = true'); is "$held" 5; seen held_at_submit "$held"
user_held=$(submit user_held 'sleep 100'); is "$user_held" 2
keep hold condor_hold "$user_held" >/dev/null; is "$user_held" 5; seen held_by_user "$user_held"
input=$(submit input_missing 'true' 'transfer_input_files = /home/griduser/vanishing')
is "$input" 5; seen held_input_missing "$input"
output=$(submit output_missing 'true' 'transfer_output_files = never.made'); is "$output" 5; seen held_output_missing "$output"
as_user sh -c 'echo "#!/no/such/interpreter" >broken; chmod 755 broken'
broken=$(submit exec_failed 'true' 'executable = broken'); is "$broken" 5; seen held_exec_failed "$broken"
memory=$(submit memory 'sleep 100' 'periodic_hold = JobStatus == 2 && NumJobStarts > 0 && time() - EnteredCurrentStatus > 1' \
  'periodic_hold_reason = "memory"' 'periodic_hold_subcode = 71'); is "$memory" 5; seen held_by_policy "$memory"
wall=$(submit wall 'sleep 100' 'allowed_execute_duration = 2'); is "$wall" 5; seen held_execute_duration "$wall"

# removed
keep rm_waiting condor_rm "$idle" >/dev/null
keep history_rm_waiting "${history[@]}" -limit 1 "$idle" >/dev/null
keep rm_running condor_rm "$running" >/dev/null
until [[ -z $(as_user condor_q "$running" -af JobStatus) ]]; do sleep 0.2; done
keep history_rm_running "${history[@]}" -limit 1 "$running" >/dev/null
foreign=$(submit foreign 'sleep 100'); is "$foreign" 2
"$system_home/bin/condor_rm" "$foreign" >/dev/null
until [[ -z $(as_user condor_q "$foreign" -af JobStatus) ]]; do sleep 0.2; done
keep history_rm_by_root "${history[@]}" -limit 1 "$foreign" >/dev/null
keep rm_held condor_rm "$wall" >/dev/null
keep history_rm_held "${history[@]}" -limit 1 "$wall" >/dev/null
policy=$(submit policy 'sleep 100' 'periodic_remove = JobStatus == 2')
until [[ -z $(as_user condor_q "$policy" -af JobStatus) ]]; do sleep 0.2; done
keep history_rm_by_policy "${history[@]}" -limit 1 "$policy" >/dev/null

# by name, many at once
keep q_by_name "${q[@]}" -constraint 'stringListMember(GridpilotName, "array,memory")' >/dev/null
keep q_several "${q[@]}" "$array" "$memory" 999999 >/dev/null

# refusals
as_user sh -c 'echo "this is no submit file" >garbage.sub'
keep submit_garbage condor_submit -terse garbage.sub >/dev/null
keep submit_no_file condor_submit -terse no.such.sub >/dev/null

# remote, spooled
submit spoolable 'echo hello; exit 5' >/dev/null
as_user sh -c 'sed -e "s/^leave_in_queue.*/output = spooled.out/" record.sub >spooled.sub'
spooled=$(keep submit_spooled condor_submit -terse "${remote[@]}" -spool spooled.sub | sed 's/\..*//')
is "$spooled" 4; keep q_spooled "${q[@]}" "${remote[@]}" "$spooled" >/dev/null
keep transfer_data condor_transfer_data "${remote[@]}" "$spooled" >/dev/null
keep q_spooled_transferred "${q[@]}" "${remote[@]}" "$spooled" >/dev/null
keep transfer_data_unknown condor_transfer_data "${remote[@]}" 999999 >/dev/null
keep history_remote "${history[@]}" "${remote[@]}" -limit 1 "$ok" >/dev/null
keep q_wrong_schedd "${q[@]}" -name nobody@localhost -pool "127.0.0.1:$condor_port" 1 >/dev/null
keep q_unknown_host "${q[@]}" -name no.such.host -pool "127.0.0.1:$condor_port" 1 >/dev/null
keep q_no_pool "${q[@]}" -name gridpilot@localhost -pool 127.0.0.1:9 1 >/dev/null
keep submit_no_pool condor_submit -terse -pool 127.0.0.1:9 -name gridpilot@localhost -spool spooled.sub >/dev/null
keep submit_wrong_schedd condor_submit -terse -pool "127.0.0.1:$condor_port" -name nobody@localhost -spool spooled.sub >/dev/null
keep submit_refused env _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=IDTOKENS _CONDOR_SEC_TOKEN_DIRECTORY=/nowhere \
  condor_submit -terse "${remote[@]}" -spool spooled.sub >/dev/null

# a node that is lost: the job waits again, and would run again
lost=$(submit lost 'sleep 1000' 'job_lease_duration = 20'); is "$lost" 2
once=$(submit lost_once 'sleep 1000' 'job_lease_duration = 20' 'requirements = NumShadowStarts =?= undefined || NumShadowStarts == 0' \
  'periodic_remove = JobStatus == 1 && NumShadowStarts > 0'); is "$once" 2
pkill -KILL -f "^condor_startd" || pkill -KILL condor_startd
pkill -KILL condor_starter || true
sleep 2; keep q_lost "${q[@]}" "$lost" >/dev/null
until [[ -z $(as_user condor_q "$once" -af JobStatus) ]]; do sleep 0.5; done
keep history_lost_once "${history[@]}" -limit 1 "$once" >/dev/null
keep q_lost_again "${q[@]}" "$lost" >/dev/null

# the schedd is away
as_user condor_rm -all >/dev/null || true
"$system_code/down.sh"
trap '"$system_code/up.sh"' EXIT
keep q_down "${q[@]}" 1 >/dev/null
keep submit_down condor_submit -terse record.sub >/dev/null
keep rm_down condor_rm 1 >/dev/null
keep transfer_data_down condor_transfer_data "${remote[@]}" 1 >/dev/null
keep q_remote_down "${q[@]}" "${remote[@]}" 1 >/dev/null
