#!/bin/bash
# Builds and tests the last commit in a minimal Debian 13, as on a machine that has nothing but git and
# make: with that system's own compiler, libraries and PostgreSQL 17.
#
#   test_debian13.sh [MAKE-ARGUMENT]...   default: demo, then test without servers of other versions
#
# debootstrap makes the system once (two minutes, 400 MB) below NEON_REDO_CACHE, by default
# /var/cache/neon_redo. Each run works in a copy, which goes at its end. Packages that were downloaded
# and compiled objects (ccache) stay there for the next run. It needs root.
#
# The copy is the root of a namespace of mounts and of processes. So nothing stays mounted and no
# process stays, however the run ends.
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/debian_archive.sh
fail() {
  echo "test_debian13.sh: $1" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || fail "it needs root: debootstrap, and mounts"
for need in debootstrap:debootstrap unshare:util-linux pivot_root:util-linux git:git; do
  command -v "${need%:*}" >/dev/null || fail "${need%:*} is missing; install the package ${need#*:}"
done
[ -r "$keyring" ] || fail "$keyring is missing; install the package debian-archive-keyring"
[ -z "$(git status --porcelain)" ] || echo "test_debian13.sh: what is not committed is not tested" >&2
[ $# -gt 0 ] || set -- demo -- test OTHER_MAJORS=

cache=${NEON_REDO_CACHE:-/var/cache/neon_redo}/debian13
mkdir -p "$cache"/archives/partial "$cache"/ccache
run=$(mktemp -d "$cache/run.XXXXXX")
inside=
# With the first process of the namespace all others end, before its parent, unshare, does.
clean() {
  if [ -n "$inside" ]; then
    first=$(cat "/proc/$inside/task/$inside/children" 2>/dev/null) || true
    kill -KILL ${first:-"$inside"} 2>/dev/null || true
  fi
  wait
  rm -rf --one-file-system "$run"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# wait_for COMMAND…: as a child, so that a signal is not kept waiting until it ends.
wait_for() {
  "$@" &
  inside=$!
  local status=0
  wait "$inside" || status=$?
  inside=
  return $status
}

# One process at a time makes the system.
exec 9>"$cache/lock"
flock 9
if [ ! -e "$cache/system" ]; then
  echo "Making a minimal Debian 13 in $cache"
  wait_for unshare --mount --pid --fork --kill-child debootstrap --variant=minbase --keyring="$keyring" \
    --include=git,make,ca-certificates,ccache trixie "$run/system" "$mirror" >"$run/log" 2>&1 ||
    { tail -n 5 "$run/log" >&2; fail "debootstrap failed"; }
  mv "$run/system" "$cache/system"
fi
flock -u 9

root=$run/system
cp -a "$cache/system" "$root"
network_settings >"$root/etc/apt/apt.conf.d/90network"
# Debian's container images delete what apt has downloaded; this one keeps it.
echo 'APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/90keep"
for file in resolv.conf hosts; do
  rm -f "$root/etc/$file"
  cp -L "/etc/$file" "$root/etc/$file"
done
git clone --quiet --no-hardlinks . "$root/srv/neon_redo"

# The first process in the namespaces: mounts, makes the copy the root, and runs make.
cat >"$root/srv/enter" <<'END'
set -euo pipefail
root=$1 cache=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mkdir -p root/.cache/ccache old
mount --rbind /dev dev
mount -t proc proc proc
mount --bind "$cache/archives" var/cache/apt/archives
mount --bind "$cache/ccache" root/.cache/ccache
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . old
cd /srv/neon_redo
umount -l /old
# make once for each part of the arguments that "--" separates
arguments=()
for word in "$@" --; do
  if [ "$word" != -- ]; then
    arguments+=("$word")
  elif [ ${#arguments[@]} -gt 0 ]; then
    echo "== make ${arguments[*]}"
    began=$SECONDS
    make "${arguments[@]}" </dev/null
    echo "== make ${arguments[*]}: $((SECONDS - began)) s"
    arguments=()
  fi
done
END
wait_for env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive ${NEON_REDO_DEBIAN_MIRROR:+"NEON_REDO_DEBIAN_MIRROR=$NEON_REDO_DEBIAN_MIRROR"} \
  "$(command -v unshare)" --mount --pid --fork --kill-child bash "$root/srv/enter" "$root" "$cache" "$@"
