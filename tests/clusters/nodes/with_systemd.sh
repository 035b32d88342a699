#!/bin/sh
# Make (once) a Debian tree with systemd in it, and print the folder of a copy of it that may be written to.
# usage: with_systemd.sh COPY    needs root, and the network the first time
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bare=$("$here/up.sh" bookworm)
tree=$bare-systemd
exec 9>"$tree.lock"
flock -w 600 9
if [ ! -e "$tree.complete" ]; then
    rm -rf --one-file-system "$tree"
    cp -a "$bare" "$tree"
    cp --remove-destination /etc/resolv.conf /etc/hosts "$tree/etc/"
    printf 'APT::Sandbox::User "root";\n' >"$tree/etc/apt/apt.conf.d/99gridpilot"
    # shellcheck disable=SC2016 # of the shell that is started
    unshare --mount --propagation private sh -c 'for m in proc sys dev; do mount --rbind "/$m" "$0/$m"; done; exec chroot "$0" "$@"' \
        "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 \
        http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" \
        sh -c 'printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && apt-get update -qq &&
               apt-get install -qq -y --no-install-recommends systemd dbus adduser && apt-get clean && rm -f /etc/systemd/system/*.wants/*' \
        >"$tree.log" 2>&1 || { echo "nodes: apt-get in the tree failed, see $tree.log" >&2; exit 1; }
    touch "$tree.complete"
fi
cp -a "$tree" "$1"
echo "$1"
