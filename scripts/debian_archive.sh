# Where Debian's packages come from, for scripts that fetch some: to be read by `.`.
# NEON_REDO_DEBIAN_MIRROR is used instead of http://deb.debian.org/debian.
# shellcheck shell=sh disable=SC2034
mirror=${NEON_REDO_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# How this system's apt reaches the network, as lines of apt.conf.
network_settings() { apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' || true; }
