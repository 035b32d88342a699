#!/bin/sh
# Boot a tree that has systemd: its processes, mounts and names are its own, its network is that of whoever calls.
# usage: unshare --pid --mount --uts --ipc --fork --kill-child boot.sh TREE    becomes the tree's init; needs root
set -eu
tree=$1
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --rbind /sys "$tree/sys"
mount -t tmpfs tmpfs "$tree/sys/fs/cgroup"
mkdir "$tree/sys/fs/cgroup/systemd"
mount -t cgroup -o none,name=systemd,xattr cgroup "$tree/sys/fs/cgroup/systemd" # nothing but names: whoever has v2 has no less
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
for device in null zero full random urandom tty; do
    touch "$tree/dev/$device"
    mount --bind "/dev/$device" "$tree/dev/$device"
done
mkdir "$tree/dev/shm" "$tree/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
mount -t devpts devpts "$tree/dev/pts"
ln -s /proc/self/fd "$tree/dev/fd"
hostname node
exec env -i container=gridpilot PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$tree" \
    /lib/systemd/systemd --unit=multi-user.target --log-target=console --log-level=notice
