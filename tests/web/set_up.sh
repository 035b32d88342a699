#!/bin/sh
# What the tests of the pages need from Debian: a browser without a window, and what reads the PDF that it prints.
set -eu
missing=
command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || missing="chromium-headless-shell"
command -v pdftotext >/dev/null || missing="$missing poppler-utils"
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing="$missing fonts-dejavu-core"
[ -n "$missing" ] || exit 0
# shellcheck disable=SC2086 # words of a command line
set -- apt-get install -y --no-install-recommends $missing
[ "$(id -u)" = 0 ] || { echo "the tests of the pages need Debian packages; as root: $*" >&2; exit 1; }
apt() { # several set-ups may run at the same time, and apt's lock on its lists knows no waiting
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 flock -o -w 900 /run/lock/gridpilot-apt \
    apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}
log=$(mktemp)
shift
apt "$@" || { apt update && apt "$@"; } || { cat "$log" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
