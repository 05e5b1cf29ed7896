#!/bin/sh
# make_system_calls.sh OUTPUT: the kernel's system calls as the headers at hand number them, one
# string literal "\nNUMBER NAME" each, for violation.cpp. CC picks the compiler.
set -eu
printf '#include <asm/unistd.h>\n' | ${CC:-cc} -E -dM - |
  sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$/\2 \1/p' | sort -n |
  sed 's/.*/"\\n&"/' > "$1.new"
[ -s "$1.new" ]
mv "$1.new" "$1"
