#!/bin/sh
# Install what some scenarios need and a bare machine lacks; anybody but root is told the line, and those are skipped.
set -eu
need=
for pair in strace:strace bwrap:bubblewrap mkfs.ext4:e2fsprogs chattr:e2fsprogs unshare:util-linux ps:procps cc:gcc; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || need="$need ${pair##*:}"
done
[ -n "$need" ] || exit 0
line="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends$need"
if [ "$(id -u)" != 0 ]; then
    echo "faults: some scenarios will be skipped; to have them: sudo $line"
    exit 0
fi
echo "faults: $line"
# shellcheck disable=SC2086 # a list of words
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive $line; } >/dev/null || echo "faults: that failed; some scenarios are skipped"
