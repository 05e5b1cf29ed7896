#!/bin/sh
# Puts a PostgreSQL server of another major version than this Debian's own into a directory of its own.
#
#   fetch_server.sh MAJOR DIRECTORY           the server, its headers and its libraries (about 200 MB)
#   fetch_server.sh --source MAJOR DIRECTORY  the source of that server
#   fetch_server.sh --update …                looks for a newer minor release of what is there already
#
# With version 17 comes the pgBackRest of the same suite (usr/bin/pgbackrest): that of Debian 12 cannot
# take block incremental backups in their final form.
#
# Nothing is installed. apt downloads the packages of the Debian suite that has the major version, with
# lists and caches of its own, and checks their signatures. The server is unpacked with the C library
# and all other libraries of its suite, and patchelf makes its programs use those. The programs
# therefore start like any others, but DIRECTORY cannot be moved. A directory that is complete is left
# as it is, which takes no time. One that has other files than those of this script is refused.
#
# Exit status: 0 done; 1 a fault; 2 wrong usage; 3 the major version cannot be had here, and why.
# NEON_REDO_DEBIAN_MIRROR is used instead of http://deb.debian.org/debian (debian_archive.sh).
set -eu

usage() {
  sed -n '3,5s/^# *//p' "$0" >&2
  exit 2
}
fail() {
  echo "fetch_server.sh: $1" >&2
  exit "${2:-1}"
}
not_to_be_had() {
  echo "fetch_server.sh: PostgreSQL $major cannot be had: $1" >&2
  exit 3
}

source=no
update=no
while [ $# -gt 0 ]; do
  case $1 in
    --source) source=yes ;;
    --update) update=yes ;;
    -*) usage ;;
    *) break ;;
  esac
  shift
done
[ $# = 2 ] || usage
major=$1
case $2 in /*) target=$2 ;; *) target=$PWD/$2 ;; esac
. "$(dirname "$0")/debian_archive.sh"

# The first suite of the list that has the version is taken. Suites after a colon only add libraries.
case $major in
  15) suites="bookworm" ;;
  17) suites="trixie" ;;
  18) suites="forky sid" ;;
  19) suites="experimental:sid" ;;
  *) not_to_be_had "no Debian suite is known to have it" ;;
esac

# Packages besides the server's.
more=""
if [ "$major" = 17 ] && [ $source = no ]; then more=pgbackrest; fi

has_more() { [ -z "$more" ] || [ -x "$target/usr/bin/$more" ]; }

stamp=$target/.fetched
leave_if_complete() {
  if [ -s "$stamp" ] && [ $update = no ] && has_more; then
    cat "$stamp"
    exit 0
  fi
}
leave_if_complete
unfinished=$target/.fetching
if [ -e "$target" ] && [ ! -s "$stamp" ] && [ ! -e "$unfinished" ] && [ -n "$(ls -A "$target")" ]; then
  fail "$target is not empty, and no server was fetched to it; name a new directory" 2
fi
architecture=$(dpkg --print-architecture)
[ "$architecture" = amd64 ] || not_to_be_had "servers are fetched for amd64 only, and this is $architecture"
for need in apt-get:apt dpkg-deb:dpkg patchelf:patchelf flock:util-linux; do
  command -v "${need%:*}" >/dev/null || fail "${need%:*} is missing; install the package ${need#*:}"
done
[ -r "$keyring" ] || fail "$keyring is missing; install the package debian-archive-keyring"

# One process at a time fills directories of this parent. The lock ends with the process.
mkdir -p "$(dirname "$target")"
exec 9<"$(dirname "$target")"
flock 9
leave_if_complete  # another process may have just filled it

work=$(mktemp -d)
new=$(dirname "$target")/.fetching.$(basename "$target")
trap 'rm -rf "$work" "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# use_suite SUITE[:SUITE…]: apt then knows these suites and nothing of this system, except how to reach
# the network.
use_suite() {
  rm -rf "$work/apt"
  mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/apt/empty"
  : >"$work/apt/status"
  for name in $(echo "$1" | tr : ' '); do
    for kind in deb deb-src; do
      [ $kind = deb ] || [ $source = yes ] || continue
      echo "$kind [arch=amd64 signed-by=$keyring] $mirror $name main"
    done
  done >"$work/apt/sources.list"
  {
    network_settings
    cat <<END
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "$work/apt/empty";
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "$work/apt/empty";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$work/apt/empty";
Dir::State "$work/apt";
Dir::State::Lists "$work/apt/lists";
Dir::State::Status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Cache::Archives "$work/apt/archives";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
END
    # Suites that are not released do not renew the end of their validity every week. Their signatures
    # are checked all the same.
    case $1 in forky | sid | experimental*) echo 'Acquire::Check-Valid-Until "false";' ;; esac
  } >"$work/apt.conf"
  export APT_CONFIG="$work/apt.conf"
  apt-get -qq update >"$work/update.log" 2>&1 && ! grep -q '^[WE]: Failed to fetch' "$work/update.log"
}

# Sets suite and version to the first suite that has the package, and what version it has.
find_package() {
  why=""
  for suite in $suites; do
    if ! use_suite "$suite"; then
      why="$why${why:+; }$mirror $suite could not be read ($(grep -m1 '^[WE]:' "$work/update.log" || echo 'no reason given'))"
      continue
    fi
    if [ $source = yes ]; then
      version=$(apt-cache showsrc --only-source "postgresql-$major" 2>/dev/null | sed -n 's/^Version: //p' | tail -n 1)
    else
      version=$(apt-cache policy "postgresql-$major" | sed -n 's/^ *Candidate: //p')
    fi
    if [ -n "$version" ] && [ "$version" != "(none)" ]; then return; fi
    why="$why${why:+; }$mirror $suite does not have it"
  done
  not_to_be_had "$why"
}

# download APT-ARGUMENT…: into $work/packages. Lists may name a package that the mirror no longer has.
download() {
  mkdir -p "$work/packages"
  (cd "$work/packages" && apt-get -qq "$@") >"$work/download.log" 2>&1 ||
    not_to_be_had "the packages of $suite could not be downloaded ($(grep -m1 '^E:' "$work/download.log" || tail -n 1 "$work/download.log"))"
}

fetch_source() {
  download source --only-source --download-only "postgresql-$major=$version"
  mkdir "$new"
  tar -xf "$work"/packages/*.orig.tar.* --strip-components=1 -C "$new"
}

# The packages of the server, and of every library that it needs. Programs and modules that need the
# large ones at the end of this list (just-in-time compilation, procedural languages) are left out.
packages() {
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "postgresql-$major" "postgresql-client-$major" $more |
    grep -E '^(lib|zlib1g$)' | grep -vE '^lib(llvm|clang|perl|python|tcl|z3|dpkg|apt|json-perl|ipc-run|locale)' |
    grep -vE -- '-(perl|dev|doc|bin)$|:' | sort -u
  echo "postgresql-$major postgresql-client-$major postgresql-server-dev-$major $more"
}

# Those of the files on standard input that are objects of the ELF format.
objects() { LC_ALL=C xargs -r grep -l -m 1 '^.ELF' || true; }

unpack() {
  mkdir -p "$new/usr/lib" "$new/usr/lib64"
  # Older suites have some libraries in /lib, newer ones all in /usr/lib.
  ln -s usr/lib "$new/lib"
  ln -s usr/lib64 "$new/lib64"
  for package in "$work"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink --no-same-owner -C "$new"
  done
  rm -rf "$new"/usr/share/doc "$new"/usr/share/man "$new"/usr/share/lintian "$new"/usr/lib/postgresql/*/lib/llvmjit.so \
    "${new:?}"/etc "${new:?}"/var
}

# Every object gets the run path, since it is not inherited. It is DT_RUNPATH and not DT_RPATH, because
# LD_LIBRARY_PATH must stay stronger: the stub libraries of workers come by that way. The parts of the C
# library stay as they are.
libraries=$target/usr/lib/x86_64-linux-gnu
loader=$libraries/ld-linux-x86-64.so.2
patch_objects() {
  server=$new/usr/lib/postgresql/$major
  { find "$server" -type f -perm /111 ! -name '*.so*'; for name in $more; do echo "$new/usr/bin/$name"; done; } | objects | xargs patchelf --set-interpreter "$loader" --set-rpath "$libraries"
  parts='ld-linux|libc|libm|libmvec|libdl|libpthread|librt|libresolv|libutil|libanl|libnsl|libnss_[a-z]*|libthread_db'
  parts="$parts|libBrokenLocale|libc_malloc_debug|libmemusage|libpcprofile"
  find "$server/lib" "$new/usr/lib/x86_64-linux-gnu" -maxdepth 1 -type f -name '*.so*' | grep -vE "/($parts)(-[a-z0-9-]*)?\.so" |
    objects | xargs patchelf --set-rpath "$libraries"
}

# What was unpacked must run, be of the right major version, and find every library inside it.
check_server() {
  server=$target/usr/lib/postgresql/$major
  said=$("$server/bin/postgres" --version 2>&1) || fail "the unpacked server does not start: $said"
  case $said in "postgres (PostgreSQL) $major"[!0-9]*) ;; *) fail "the unpacked server is another one: $said" ;; esac
  "$server/bin/postgres" --describe-config >/dev/null || fail "the unpacked server does not start"
  for name in $more; do
    "$target/usr/bin/$name" version >/dev/null || fail "the unpacked $name does not start"
  done
  [ -e "$("$server/bin/pg_config" --pgxs)" ] || fail "the unpacked server has no build files for extensions"
  find "$server/bin" "$server/lib" -maxdepth 1 -type f | objects >"$work/objects"
  while read -r object; do  # the C library first, as in a process
    "$loader" --preload "$libraries/libc.so.6" --list "$object" 2>&1 || true
  done <"$work/objects" | sed -n "s|.*=> \(/[^ ]*\).*|\1|p; s|.*not found.*|&|p" | grep -v "^$target/" | sort -u >"$work/missing" || true
  [ ! -s "$work/missing" ] || fail "the unpacked server needs libraries that were not fetched: $(tr '\n' ' ' <"$work/missing")"
}

find_package
fetched="PostgreSQL $major: $version of Debian ${suite%%:*}"
if [ -s "$stamp" ] && [ "$(cat "$stamp")" = "$fetched" ] && has_more; then  # --update, and there is nothing newer
  echo "$fetched"
  exit 0
fi
rm -rf "$new"
if [ $source = yes ]; then
  fetch_source
else
  # shellcheck disable=SC2046 # words of a list
  download download $(packages)
  unpack
  patch_objects
fi
# The server's user must be able to read it all, whatever the umask.
touch "$new/.fetching"
chmod -R a+rX "$new"
rm -rf "$target"
mv "$new" "$target"
if [ $source = no ]; then check_server; fi
echo "$fetched" >"$stamp"
chmod a+r "$stamp"
rm "$unfinished"
echo "$fetched"
