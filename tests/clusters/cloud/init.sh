#!/bin/sh
# The first process of a lean machine: the network of qemu, then cloud-init, which runs the user data.
PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PATH HOME LANG
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
chmod 1777 /tmp /dev/shm
ip link set lo up
card=$(ls /sys/class/net | grep -v lo | head -n 1)
[ ! "$card" ] || { ip link set "$card" up && ip addr add 10.0.2.15/24 dev "$card" && ip route add default via 10.0.2.2; }
echo nameserver 10.0.2.3 >/etc/resolv.conf
# No more modules and stages than user data needs: each is a start of Python. The machine with systemd has them all.
cat >/etc/cloud/cloud.cfg.d/99_lean.cfg <<'CFG'
network: {config: disabled}
cloud_init_modules: [bootcmd, write-files]
cloud_final_modules: [scripts-user]
manage_etc_hosts: false
CFG
echo "lean: $(cut -d' ' -f1 /proc/uptime) s after the kernel: cloud-init"
cloud-init init
echo "lean: $(cut -d' ' -f1 /proc/uptime) s after the kernel: the user data's script"
cloud-init modules --mode=final
while :; do sleep 3600; done
