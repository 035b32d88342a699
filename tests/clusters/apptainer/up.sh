#!/bin/sh
# Get (once) a real Apptainer and the few newer libraries it needs, out of a newer Debian, into a tree of its own.
# usage: up.sh    prints the command, a script that enters the tree with bubblewrap and starts Apptainer there
#
# Nothing is installed on the machine but bubblewrap. In the tree's world /usr is the newer Debian's; /tmp, /var/tmp, /home
# and all else is the machine's own, at its own place. No package is configured, so nothing of theirs is started.
set -eu
suite=${APPTAINER_SUITE:-sid}
home=${GRIDPILOT_CLUSTERS_CACHE:-$HOME/.cache/gridpilot-clusters}/apptainer
tree=$home/tree
packages="apptainer libc6 libgcc-s1 gcc-16-base libseccomp2 libsqlite3-0 zlib1g bash libtinfo6"

fail() {
    printf 'apptainer: %s\n' "$*" >&2
    exit 1
}

installed() { # COMMAND PACKAGE
    command -v "$1" >/dev/null && return 0
    install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $2"
    [ "$(id -u)" = 0 ] || fail "$1 is missing; as root: $install"
    { DEBIAN_FRONTEND=noninteractive $install || { apt-get -qq update && DEBIAN_FRONTEND=noninteractive $install; }; } \
        >"$home/apt.log" 2>&1 || fail "see $home/apt.log"
}

mirror() { # the one that this machine's own packages come from
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)
    echo "${found:-http://deb.debian.org/debian/}"
}

newer() { # apt-get with lists, cache and status of its own: the machine's packages are not concerned
    command=$1
    shift
    "$command" -o Dir::Etc::sourcelist="$home/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$home/apt/lists" -o Dir::Cache="$home/apt/cache" -o Dir::State::status="$home/apt/status" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -qq "$@"
}

fetch() {
    mkdir -p "$home/apt/lists/partial" "$home/apt/cache/archives/partial" "$home/apt/debs"
    : >"$home/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $suite main" >"$home/apt/sources.list"
    newer apt-get update >"$home/fetch.log" 2>&1 || fail "the list of packages of $suite cannot be had, see $home/fetch.log"
    # shellcheck disable=SC2086 # a list of packages
    (cd "$home/apt/debs" && newer apt-get download $packages) >>"$home/fetch.log" 2>&1 ||
        fail "the packages cannot be had, see $home/fetch.log"
}

unpack() {
    rm -rf "$tree"
    mkdir -p "$tree"
    for part in bin sbin lib lib64; do
        mkdir -p "$tree/usr/$part"
        ln -s "usr/$part" "$tree/$part"
    done
    for package in "$home"/apt/debs/*.deb; do # not dpkg: it would configure
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --keep-directory-symlink
    done
    ln -sf bash "$tree/usr/bin/sh"
    # what the machine's own files are put over
    for name in passwd group hosts resolv.conf nsswitch.conf localtime; do : >"$tree/etc/$name"; done
    for place in /* /var/*; do [ ! -d "$place" ] || mkdir -p "$tree$place"; done
    rm -rf "$home/apt" "$tree"/usr/share/doc "$tree"/usr/share/man "$tree"/usr/share/locale
}

write_command() {
    cat >"$home/apptainer.new" <<END
#!/bin/sh
# Apptainer of Debian $suite, in its own tree.
set -- --dev-bind /proc /proc --dev-bind /dev /dev --ro-bind /sys /sys -- /usr/bin/apptainer "\$@"
for name in passwd group hosts resolv.conf nsswitch.conf localtime; do
    [ ! -e "/etc/\$name" ] || set -- --ro-bind "/etc/\$name" "/etc/\$name" "\$@"
done
for place in /* /var/*; do
    case \$place in
        /bin | /sbin | /lib* | /usr | /etc | /dev | /proc | /sys | /var | /var/lib) ;;
        *) [ ! -d "\$place" ] || set -- --bind "\$place" "\$place" "\$@" ;;
    esac
done
exec bwrap --bind '$tree' / "\$@"
END
    chmod 755 "$home/apptainer.new"
    mv "$home/apptainer.new" "$home/apptainer"
}

mkdir -p "$home"
exec 9>"$home/lock"
flock 9
installed bwrap bubblewrap
if [ ! -e "$home/complete" ]; then
    fetch
    unpack
    write_command
    touch "$home/complete"
fi
"$home/apptainer" --version >"$home/version.log" 2>&1 || fail "it does not start: $(tail -1 "$home/version.log")"
echo "$home/apptainer"
