#!/bin/sh
# The first process of the machine: control groups of version 2 with every controller, then the tests, then off.
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
export PATH HOME LANG PYTHONDONTWRITEBYTECODE
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up 2>/dev/null
cd /project || exit
echo "MACHINE: $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
/bin/sh /what
echo "MACHINE: ended with $?"
echo o >/proc/sysrq-trigger
sleep 60
