#!/usr/bin/env bash
# See that Podman with runc and crun is installed, make an image for it, and write client.env.
set -euo pipefail
system=podman
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../container_image.sh
. "$(dirname "$0")/../container_image.sh"
# shellcheck source=pause.sh
. "$(dirname "$0")/pause.sh"

alone
need_packages podman runc crun uidmap fuse-overlayfs
need_grid_user
need_container_image
chown -R griduser: "$container_image" # without root, Podman makes places for its mounts in it
stop_pause
podman info >"$system_home/log/info.log" 2>&1 || die "podman does not start, see $system_home/log/info.log"
printf '%s\n' "PODMAN=$(command -v podman)" "IMAGE=$container_image" >"$system_home/client.env"
say "up, $(podman --version): $system_home/client.env"
