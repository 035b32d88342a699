#!/bin/sh
# Run a command in a virtual machine with cgroup v2 and all its controllers: Debian's cloud kernel, a bare Debian 12 in
# memory, the project's code and pytest in it. No /dev/kvm is needed: without it everything is some ten times slower.
# usage: run.sh COMMAND...    run in the project's folder as root; what it prints, and its exit code
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../../.." && pwd)
home=${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/machine
site=$(ls -d "$project"/.venv/lib/python3*/site-packages)

mkdir -p "$home"
work=$(mktemp -d "$home/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

packages() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null && return 0
    line="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $2"
    [ "$(id -u)" = 0 ] || { echo "machine: $1 is missing; as root: $line" >&2; exit 1; }
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive $line; } >"$home/apt.log" 2>&1
}

packages qemu-system-x86_64 qemu-system-x86
packages cpio cpio
tree=$("$here/../nodes/up.sh" bookworm)
if ! ls "$home"/vmlinuz-* >/dev/null 2>&1; then
    image=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/ {print $2; exit}')
    (cd "$work" && apt-get -qq download "$image" && dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz-*' && mv boot/vmlinuz-* "$home/")
fi

mkdir "$work/more" "$work/more/project" "$work/more/site"
for name in pytest _pytest py.py pluggy pluggy-*.dist-info pytest-[0-9]*.dist-info iniconfig packaging pygments; do cp -r "$site"/$name "$work/more/site/"; done
for name in pilot agents ce_backends tests pyproject.toml; do cp -r "$project/$name" "$work/more/project/"; done
sed -i 's/^DEADLINE_S = \([0-9]*\)$/DEADLINE_S = \10/' "$work"/more/project/tests/unit/*.py # emulation is slow
cp "$here/init.sh" "$work/more/init"
chmod 755 "$work/more/init"
{ echo 'export PYTHONPATH=/site'; echo exec "$@"; } >"$work/more/what"
[ -e "$home/tree.cpio" ] && [ "$home/tree.cpio" -nt "$tree.complete" ] || (cd "$tree" && find . -xdev ! -path './dev/*' | cpio -o -H newc --quiet >"$home/tree.cpio.new" && mv "$home/tree.cpio.new" "$home/tree.cpio")
(cd "$work/more" && find . | cpio -o -H newc --quiet >"$work/more.cpio")
cat "$home/tree.cpio" "$work/more.cpio" >"$work/initrd" # the kernel unpacks one archive after the other

timeout "${MACHINE_S:-900}" qemu-system-x86_64 -m 2048 -smp 2 -nographic -no-reboot -nodefaults -serial stdio \
    -kernel "$(ls "$home"/vmlinuz-* | tail -1)" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init" </dev/null |
    tr -d '\r' | tee "$work/said"
code=$(sed -n 's/^MACHINE: ended with \([0-9]*\)$/\1/p' "$work/said")
[ -n "$code" ] || { echo "machine: it did not come to the end of its work" >&2; exit 1; }
exit "$code"
