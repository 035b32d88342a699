# shellcheck shell=bash disable=SC2034,SC2154 # shared with up.sh and settings.sh
# Where Slurm's programs come from; source it after settings.sh. Sets sbin, bin and plugins.
# The machine's own version is installed. Another one is taken from the Debian release that has it: its packages and all
# that they need are unpacked below $system_home/root, and the programs are told to use the loader and the libraries beside
# them. So no chroot is needed, and jobs see the machine as it is.
library=usr/lib/$(uname -m)-linux-gnu

release_of() {
  case $1 in
    20.11) echo bullseye ;;
    22.05) echo bookworm ;;
    24.11) echo trixie ;;
    26.05) echo sid ;;
    *) die "SLURM_VERSION=$1 is not one of 20.11, 22.05, 24.11, 26.05" ;;
  esac
}

slurm_packages() {
  local own=(munge)
  [[ $slurm_accounting == 0 ]] || own+=(mariadb-server)
  if [[ -z $slurm_version ]]; then
    own+=(slurmctld slurmd slurm-client slurm-wlm-basic-plugins)
    [[ $slurm_accounting == 0 ]] || own+=(slurmdbd slurm-wlm-mysql-plugin)
    need_packages "${own[@]}"
    bin=/usr/bin sbin=/usr/sbin plugins=/$library/slurm-wlm
  else
    need_packages "${own[@]}" patchelf
    unpack_release "$(release_of "$slurm_version")"
    bin=$system_home/bin sbin=$system_home/root/usr/sbin plugins=$system_home/root/$library/slurm-wlm
  fi
}

unpack_release() {
  local cache=$system_cache/slurm-$1 root=$system_home/root deb
  [[ -z ${GRIDPILOT_NEWEST:-} || $1 != sid ]] || rm -f "$root/complete" "$cache/complete"
  [[ ! -e $root/complete ]] || return 0
  [[ -e $cache/complete ]] || download_release "$1" "$cache"
  say "unpacking Slurm $slurm_version"
  rm -rf "$root" "$system_home/bin"
  mkdir -p "$root" "$system_home/bin"
  for deb in "$cache"/archives/*.deb; do dpkg -x "$deb" "$root"; done
  make_relocatable "$root"
  for name in sbatch squeue sacct sacctmgr scancel scontrol sinfo srun salloc sstat sprio; do
    ln -s "../root/usr/bin/$name" "$system_home/bin/$name"
  done
  for name in slurmctld slurmd slurmstepd; do # Debian's update-alternatives would make these links
    [[ ! -e $root/usr/sbin/$name-wlm ]] || ln -s "$name-wlm" "$root/usr/sbin/$name"
  done
  touch "$root/complete"
}

# an apt of its own, which knows nothing as installed, so that it fetches every library too
download_release() {
  local release=$1 cache=$2 uri
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $(. /etc/os-release; echo "$VERSION_CODENAME")" | head -1)
  [[ -n $uri ]] || die "apt has no source for packages of this machine's own release, so none is known for $release"
  say "downloading Slurm $slurm_version of Debian $release"
  rm -rf "$cache"
  mkdir -p "$cache"/{lists,archives}/partial
  : >"$cache/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $release main" >"$cache/sources.list"
  cat >"$cache/apt.conf" <<CONF
Dir::State "$cache"; Dir::State::status "$cache/status"; Dir::State::lists "$cache/lists";
Dir::Cache "$cache"; Dir::Cache::archives "$cache/archives";
Dir::Etc::SourceList "$cache/sources.list"; Dir::Etc::SourceParts "/dev/null";
APT::Sandbox::User "root"; APT::Install-Recommends "false"; Acquire::Languages "none";
CONF
  { APT_CONFIG=$cache/apt.conf apt-get update -qq && APT_CONFIG=$cache/apt.conf apt-get install -y --download-only \
    slurmctld slurmd slurm-client slurm-wlm-basic-plugins slurmdbd $(mysql_plugin "$cache"); } >>"$system_home/log/apt.log" 2>&1 ||
    die "Slurm $slurm_version could not be downloaded, see $system_home/log/apt.log"
  rm -rf "$cache/lists" "$cache"/*.bin
  touch "$cache/complete"
}

# a package of its own since 22.05, part of slurm-wlm-basic-plugins before
mysql_plugin() {
  APT_CONFIG=$1/apt.conf apt-cache show slurm-wlm-mysql-plugin >/dev/null 2>&1 && echo slurm-wlm-mysql-plugin || true
}

make_relocatable() {
  local root=$1 loader file libraries
  loader=$(find "$root" -name 'ld-linux-x86-64.so.2' -o -name 'ld-linux-aarch64.so.1' | head -1)
  libraries=$root/$library/slurm-wlm:$root/$library:$root/lib/$(uname -m)-linux-gnu
  for file in "$root"/usr/bin/s* "$root"/usr/sbin/slurm*; do
    if patchelf --print-interpreter "$file" >/dev/null 2>&1; then
      patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$file"
    fi
  done
  for file in "$root/$library"/slurm-wlm/*.so; do patchelf --force-rpath --set-rpath "$libraries" "$file"; done
}
