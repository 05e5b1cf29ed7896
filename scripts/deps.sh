#!/bin/sh
# Makes sure that the Debian packages this project needs are installed: installs what is missing as
# root or through sudo without a password; otherwise prints the one line to run, and fails. Arguments:
# packages that are needed besides. The server is the one of this system: of Debian's suite, or, on
# another system, of the pg_config that is installed.
set -eu

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
case $codename in
  bookworm) major=15 ;;
  trixie) major=17 ;;
  forky | sid) major=18 ;;
  *) major=$(pg_config --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p') ;;
esac
if [ -z "$major" ]; then
  echo "This system is neither Debian 12, 13 nor 14, so its PostgreSQL version is not known here." >&2
  echo "Install a PostgreSQL server with its files for development, then run make again." >&2
  exit 1
fi

packages="g++ make pkg-config meson ninja-build python3
  postgresql-$major postgresql-server-dev-$major libpq-dev
  libseccomp-dev libssl-dev libfmt-dev nlohmann-json3-dev libexpected-dev liblz4-dev libzstd-dev
  libarchive-dev libbz2-dev libxxhash-dev zlib1g-dev librocksdb-dev prometheus-cpp-dev libgtest-dev
  libbenchmark-dev liblzma-dev libbrotli-dev nettle-dev strace"

missing=""
for package in $packages "$@"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=""
  [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  root=""
elif sudo -n true 2>/dev/null; then
  root="sudo -n"
else
  echo "Some Debian packages are missing. Install them, then run make again:" >&2
  echo "  sudo apt-get install$missing" >&2
  exit 1
fi

# Installing a PostgreSQL server on Debian creates and starts a cluster named "main". Nobody asked
# for one here, so it is told not to, for the length of this installation.
drop_in_directory=/etc/postgresql-common/createcluster.d
drop_in=$drop_in_directory/zz-neon-redo.conf
remove_drop_in() {
  $root rm -f $drop_in
  $root rmdir --ignore-fail-on-non-empty $drop_in_directory
}
trap remove_drop_in EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
$root mkdir -p $drop_in_directory
echo "create_main_cluster = false" | $root tee $drop_in >/dev/null

echo "Installing Debian packages:$missing"
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq \
  $missing </dev/null
