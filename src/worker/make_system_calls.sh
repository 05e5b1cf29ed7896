#!/bin/sh
# make_system_calls.sh OUTPUT writes the kernel's system calls for violation.cpp, numbered as in the
# build's kernel headers: one string literal "\nNUMBER NAME" each. CC is the compiler.
set -eu
printf '#include <asm/unistd.h>\n' | ${CC:-cc} -E -dM - |
  sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$/\2 \1/p' | sort -n |
  sed 's/.*/"\\n&"/' > "$1.new"
[ -s "$1.new" ]
mv "$1.new" "$1"
