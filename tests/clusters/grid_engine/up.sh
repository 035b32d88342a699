#!/usr/bin/env bash
# Install and start Son of Grid Engine on 127.0.0.1: one qmaster, one execd, and write $system_home/client.env. Idempotent.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

# An SGE_ROOT of our own, with links to what Debian installed: nothing outside $system_home is written.
make_root() {
  local arch
  arch=$(/usr/share/gridengine/util/arch)
  install -d -o sgeadmin -g sgeadmin "$SGE_ROOT"/{,bin,utilbin,lib,default,default/common} \
    "$system_home"/spool{,/db,/qmaster,/qmaster/job_scripts,/execd}
  ln -sfn /usr/share/gridengine/util "$SGE_ROOT/util"
  ln -sfn "$installed" "$SGE_ROOT/bin/$arch"
  ln -sfn "$installed" "$SGE_ROOT/utilbin/$arch"
  ln -sfn "$installed" "$SGE_ROOT/lib/$arch"
  sed "s#/var/spool/gridengine/spooldb#$system_home/spool/db#; s#/var/spool/gridengine/qmaster#$system_home/spool/qmaster#" \
    /usr/share/gridengine/default-bootstrap >"$SGE_ROOT/default/common/bootstrap"
  # every name of this machine is one host, whatever its addresses resolve to: else "denied: host is no submit host"
  echo "localhost $( (hostname; hostname -s; awk '$1 ~ /^127\./ {$1 = ""; print}' /etc/hosts) | tr -s ' ' '\n' |
    grep -vx -e localhost -e '' | sort -u | tr '\n' ' ')" >"$SGE_ROOT/default/common/host_aliases"
  echo localhost >"$SGE_ROOT/default/common/act_qmaster"
  chown sgeadmin:sgeadmin "$SGE_ROOT"/default/common/*
  [[ -e $system_home/spool/db/sge ]] ||
    runuser -u sgeadmin -- /usr/share/gridengine/scripts/init_cluster "$SGE_ROOT" "$SGE_CELL" "$system_home/spool/db" sgeadmin \
      >"$system_home/log/init.log" 2>&1 || die "init_cluster failed, see $system_home/log/init.log"
}

# daemon NAME: SGE_ND keeps it in the foreground
daemon() { start "$1" SGE_ND=1 "LD_PRELOAD=$loopback" "/usr/sbin/sge_$1"; }

# set_lines "NAME VALUE"...: a filter over qconf's output that replaces the values of these names, adding those that are missing
set_lines() {
  awk -v lines="$(printf '%s\n' "$@")" '
    BEGIN { n = split(lines, all, "\n"); for (i = 1; i <= n; i++) { split(all[i], one, " "); wanted[one[1]] = all[i] } }
    $1 in wanted { print wanted[$1]; delete wanted[$1]; next }
    { print }
    END { for (name in wanted) if (name != "") print wanted[name] }'
}

# Short intervals everywhere, so that tests wait for jobs and not for Grid Engine. finished_jobs=0: nothing lingers in qstat -s z.
configure_whole() {
  local conf=$system_home/conf
  as_admin qconf -sconf global | grep -v '^#' | set_lines 'load_report_time 00:00:02' 'max_unheard 00:00:10' \
    'min_uid 100' 'min_gid 100' 'gid_range 20000-20400' 'mailer /bin/true' 'reschedule_unknown 00:00:05' \
    'shell_start_mode unix_behavior' "execd_spool_dir $system_home/spool/execd" \
    'execd_params ENABLE_ADDGRP_KILL=TRUE,PDC_INTERVAL=1,INHERIT_ENV=FALSE' \
    'reporting_params accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00 accounting_flush_time=00:00:00' \
    >"$conf/global"
  as_admin qconf -Mconf "$conf/global" >/dev/null
  as_admin qconf -ssconf | set_lines 'schedule_interval 0:0:1' 'flush_submit_sec 1' 'flush_finish_sec 1' \
    'job_load_adjustments NONE' 'load_adjustment_decay_time 0:0:0' 'queue_sort_method seqno' >"$conf/scheduler"
  as_admin qconf -Msconf "$conf/scheduler" >/dev/null
  as_admin qconf -sc | grep -v -e '^#' -e '^gpu ' >"$conf/complexes"
  echo 'gpu gpu INT <= YES JOB 0 0' >>"$conf/complexes"
  as_admin qconf -Mc "$conf/complexes" >/dev/null
}

# listed OPTION NAME: whether qconf OPTION shows it
listed() { as_admin qconf "$1" 2>/dev/null | grep -qxF "$2"; }

configure_host() {
  local conf=$system_home/conf
  listed -ss localhost || as_admin qconf -as localhost >/dev/null
  listed -sm root || as_admin qconf -am root >/dev/null
  listed -sel localhost || {
    printf '%s\n' 'hostname localhost' 'load_scaling NONE' 'complex_values slots=16,gpu=2' 'user_lists NONE' \
      'xuser_lists NONE' 'projects NONE' 'xprojects NONE' 'usage_scaling NONE' 'report_variables NONE' >"$conf/host"
    as_admin qconf -Ae "$conf/host" >/dev/null
  }
  listed -spl smp || {
    # shellcheck disable=SC2016 # $pe_slots is Grid Engine's own word
    printf '%s\n' 'pe_name smp' 'slots 999' 'user_lists NONE' 'xuser_lists NONE' 'start_proc_args NONE' \
      'stop_proc_args NONE' 'allocation_rule $pe_slots' 'control_slaves TRUE' 'job_is_first_task TRUE' \
      'urgency_slots min' 'accounting_summary TRUE' 'qsort_args NONE' >"$conf/smp"
    as_admin qconf -Ap "$conf/smp" >/dev/null
  }
}

# queue NAME "NAME VALUE"...
queue() {
  local name=$1; shift
  listed -sql "$name" && return
  as_admin qconf -sq | set_lines "qname $name" 'hostlist localhost' 'pe_list smp' 'shell /bin/sh' \
    'load_thresholds NONE' 'rerun FALSE' 'notify 00:00:20' "$@" >"$system_home/conf/$name"
  as_admin qconf -Aq "$system_home/conf/$name" >/dev/null
}

configure() {
  configure_whole
  configure_host
  queue grid.q 'slots 16' 'seq_no 0'
  queue short.q 'slots 2' 'seq_no 10' 'h_rt 00:00:10'
}

write_client_env() {
  local arch
  arch=$("$SGE_ROOT/util/arch")
  printf '%s\n' "SGE_ROOT=$SGE_ROOT" "SGE_CELL=$SGE_CELL" "SGE_QMASTER_PORT=$SGE_QMASTER_PORT" \
    "SGE_EXECD_PORT=$SGE_EXECD_PORT" "GRIDPILOT_SYSTEM_VERSION='$(as_admin qstat -help | head -1)'" "PATH=$SGE_ROOT/bin/$arch:/usr/bin:/bin" >"$system_home/client.env.new"
  mv "$system_home/client.env.new" "$system_home/client.env"
}

reports() { ! as_admin qstat -f | awk '/@localhost/ && $6 ~ /u/ {unheard = 1} /@localhost/ {seen = 1} END {exit seen && !unheard}'; }

alone
need_packages gridengine-master gridengine-exec gridengine-client
need_root
need_grid_user
need_free_port qmaster "$SGE_QMASTER_PORT"
need_free_port execd "$SGE_EXECD_PORT"
make_root
install -d -m 755 "$system_home/conf"
need_loopback
daemon qmaster
wait_for 30 "answer of the qmaster" as_admin qconf -sconf
configure >"$system_home/log/configure.log" 2>&1 &
wait $! || die "qconf failed, see $system_home/log/configure.log"
daemon execd
wait_for 30 "report of the execd" reports
write_client_env
say "up: $system_home/client.env"
