#!/bin/sh
# Make (once) a machine image as clouds have them: Debian 12, cloud kernel, cloud-init, Python; and an
# initial RAM disk that boots it without systemd, which is many times quicker where the processor is emulated.
# Needs root for mmdebstrap, and neither mount nor loop device; 1.2 GB, a minute of CPU.
# usage: up.sh    prints the folder with disk.raw, vmlinuz, initrd (systemd) and initrd-lean (init.sh instead of it)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/cloud

fail() {
    printf 'cloud: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$home"
cd "$home"
exec 9>lock
flock -w 900 9 || fail "another script has held $home/lock for 900 s"
missing=
for package in qemu-system-x86 qemu-utils mmdebstrap e2fsprogs cpio kmod busybox-static; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || missing="$missing $package"
done
if [ "$missing" ]; then
    install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends$missing"
    [ "$(id -u)" = 0 ] || fail "Debian packages are missing; as root: $install"
    alone="flock -o -w 900 /run/lock/gridpilot-apt" # apt's lock on its lists knows no waiting
    { $alone apt-get -qq update && DEBIAN_FRONTEND=noninteractive $alone $install; } >apt.log 2>&1 || fail "apt-get failed, see $home/apt.log"
fi

if [ ! -e tree.tar.complete ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)
    mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --include=linux-image-cloud-amd64,systemd-sysv,udev,cloud-init,python3,iproute2,ifupdown,isc-dhcp-client,ca-certificates,openssl,initramfs-tools,procps \
        --customize-hook='printf "datasource_list: [ NoCloud, None ]\n" > $1/etc/cloud/cloud.cfg.d/90_dpkg.cfg' \
        --customize-hook='printf "/dev/vda / ext4 defaults 0 1\n" > $1/etc/fstab' \
        bookworm tree.tar "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" \
        >mmdebstrap.log 2>&1 || fail "mmdebstrap failed, see $home/mmdebstrap.log"
    touch tree.tar.complete
    rm -f disk.raw.complete
fi

if [ ! -e disk.raw.complete ] || [ "$here/init.sh" -nt disk.raw.complete ] || [ "$here/up.sh" -nt disk.raw.complete ]; then
    rm -rf --one-file-system tree lean disk.raw.complete
    mkdir tree lean
    tar -C tree --exclude='./dev/*' -xf tree.tar
    echo "127.0.0.1 localhost" >tree/etc/hosts # an installed system has it
    cp tree/boot/vmlinuz-* vmlinuz
    cp tree/boot/initrd.img-* initrd
    cp "$here/init.sh" tree/sbin/gridpilot-init
    chmod 755 tree/sbin/gridpilot-init
    python3 -m compileall -q --hardlink-dupes tree/usr/lib/python3/dist-packages >/dev/null 2>&1 || true # where it is 3.11 too
    rm -f disk.raw
    truncate -s 6G disk.raw # most of it is a hole
    mke2fs -q -t ext4 -d tree -L root disk.raw

    mkdir -p lean/bin lean/dev lean/root lean/modules
    cp "$(command -v busybox)" lean/bin/busybox
    release=$(basename tree/lib/modules/*)
    for module in virtio_pci virtio_blk ext4 virtio_net isofs; do
        modprobe --show-depends -d "$home/tree" -S "$release" "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >lean/list
    while read -r file; do cp "$file" lean/modules/ && basename "$file"; done <lean/list >lean/order
    cat >lean/init <<'INIT'
#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
while read -r module; do busybox insmod "/modules/$module"; done < /order
busybox mount -t ext4 /dev/vda /root
exec busybox switch_root /root /sbin/gridpilot-init
INIT
    chmod 755 lean/init
    (cd lean && find . | cpio -o -H newc --quiet) >initrd-lean
    rm -rf --one-file-system tree lean
    touch disk.raw.complete
fi
echo "$home"
