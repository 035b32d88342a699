# shellcheck shell=bash disable=SC2154 # shared with up.sh
# Slurm's configuration files; source it after packages.sh.

slurm_configuration() {
  port=$(first_port 10)
  mkdir -p "$etc" "$system_home"/{control,spool}
  has_cgroups && cgroup_conf >"$etc/cgroup.conf" || rm -f "$etc/cgroup.conf"
  { slurm_conf; accounting_conf; nodes_conf; } >"$etc/slurm.conf"
  gres_conf >"$etc/gres.conf"
  if [[ $slurm_accounting == 1 ]]; then (umask 077 && slurmdbd_conf >"$etc/slurmdbd.conf"); fi
}

# node N: its name, which is also its control group's, so it must differ between the Slurms of one machine
node() { echo "p${port}n$1"; }

# Slurm's own limits of memory need a control group of version 1 here: version 2 needs systemd or Slurm 23.02
has_cgroups() { [[ -w /sys/fs/cgroup/memory/cgroup.procs && -w /sys/fs/cgroup/freezer/cgroup.procs ]]; }

cgroup_conf() {
  [[ $slurm_version == 20.11 ]] || echo "CgroupPlugin=cgroup/v1"
  cat <<CONF
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainCores=no
ConstrainDevices=no
AllowedSwapSpace=0
CONF
}

slurm_conf() {
  cat <<CONF
ClusterName=gridpilot
# the daemons run on a host called localhost (up.sh), so that nothing outside this machine is listened to
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$system_home/munge/socket
CredType=cred/munge
PluginDir=$plugins
StateSaveLocation=$system_home/control
SlurmdSpoolDir=$system_home/spool/%n
SlurmctldPidFile=$system_home/control/slurmctld.pid
SlurmdPidFile=$system_home/spool/%n.pid
SlurmctldLogFile=$system_home/log/slurmctld.log
SlurmdLogFile=$system_home/log/%n.log
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# fast scheduling for tests
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=${SLURM_NODE_TIMEOUT_S:-30}
InactiveLimit=0
KillWait=2
MessageTimeout=10
# without accounting, finished jobs are forgotten soon, as on a busy site; else as Slurm does it by itself
MinJobAge=$([[ $slurm_accounting == 1 ]] && echo 300 || echo 20)
MaxArraySize=10001
MaxJobCount=20000
# the nodes have more processors than the machine
SlurmdParameters=config_overrides
DefMemPerCPU=200
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
CONF
  if has_cgroups; then
    printf '%s\n' ProctrackType=proctrack/cgroup TaskPlugin=task/cgroup JobAcctGatherFrequency=task=5
  else
    printf '%s\n' ProctrackType=proctrack/linuxproc TaskPlugin=task/none JobAcctGatherFrequency=task=1 JobAcctGatherParams=OverMemoryKill
  fi
}

accounting_conf() {
  if [[ $slurm_accounting == 0 ]]; then
    printf '%s\n' AccountingStorageType=accounting_storage/none JobCompType=jobcomp/none
  else
    cat <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$((port + 5))
AccountingStoragePass=$system_home/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos
JobCompType=jobcomp/none
CONF
  fi
}

nodes_conf() {
  cat <<CONF
NodeName=$(node 1) NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=16 RealMemory=6000 State=UNKNOWN
NodeName=$(node 2) NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=16 RealMemory=6000 Gres=gpu:fake:2 State=UNKNOWN
NodeName=$(node 3) NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 3)) CPUs=8 RealMemory=4000 State=UNKNOWN
PartitionName=grid Nodes=ALL Default=YES MaxTime=1:00:00 DefaultTime=10:00 State=UP PriorityTier=5
PartitionName=short Nodes=$(node 1) MaxTime=1 DefaultTime=1 State=UP PriorityTier=5
PartitionName=preempt Nodes=ALL MaxTime=1:00:00 DefaultTime=10:00 State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=closed Nodes=ALL MaxTime=1:00:00 State=DOWN
CONF
}

gres_conf() {
  cat <<CONF
NodeName=$(node 2) Name=gpu Type=fake File=/dev/null
NodeName=$(node 2) Name=gpu Type=fake File=/dev/zero
CONF
}

slurmdbd_conf() {
  cat <<CONF
AuthType=auth/munge
AuthInfo=socket=$system_home/munge/socket
PluginDir=$plugins
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 5))
SlurmUser=root
LogFile=$system_home/log/slurmdbd.log
PidFile=$system_home/control/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 6))
StorageLoc=slurm
StorageUser=slurm
StoragePass=slurm
CommitDelay=1
CONF
}
