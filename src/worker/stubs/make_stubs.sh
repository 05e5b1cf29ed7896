#!/bin/sh
# Makes the stub libraries of the redo worker: make_stubs.sh POSTGRES OUTPUT_DIRECTORY
#
# Debian's postgres links LDAP, Kerberos, PAM, TLS, XML, ICU and systemd, which load about forty
# libraries. A redo worker uses none of them, but loading them takes four fifths of its launch time
# and most of its private memory. One small library replaces them all. It defines the symbols that
# this postgres binary imports from them (functions return 0), under each library's name. The
# launcher adds the directory to LD_LIBRARY_PATH of workers, and of no other process. It does so only
# if the file for_postgres names the size and modification time of the postgres binary.
set -eu
postgres=$1
out=$2
# Libraries that a worker does use: the C library and the compressors of full-page images.
kept='^(libc|libm|libdl|librt|libpthread|libz|libzstd|liblz4|ld-linux[^.]*)\.so'

rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

readelf -dW "$postgres" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' >"$work/needed"
grep -Ev "$kept" "$work/needed" >"$work/stubbed" || true
ldd "$postgres" | awk '$2 == "=>" { print $1, $3 } $1 ~ /^\// { n = split($1, p, "/"); print p[n], $1 }' \
  | grep -E "$kept" | while read -r _ path; do
  readelf --dyn-syms -W "$path" | awk '$1 ~ /^[0-9]+:$/ && $7 != "UND" { sub(/@.*/, "", $8); print $8 }'
done | sort -u >"$work/provided"

# Variables of libraries that are copied into the program. They are defined symbols of it, and have no
# version if the library gives its symbols none.
readelf -rW "$postgres" | awk '$3 ~ /_COPY$/ { sub(/@.*/, "", $5); print $5 }' | sort -u >"$work/copied"

# Name, version, type and size of every symbol that postgres takes from a replaced library: undefined
# symbols, and copied variables.
readelf --dyn-syms -W "$postgres" | awk '
  FILENAME == ARGV[1] { provided[$1] = 1; next }
  FILENAME == ARGV[2] { copied[$1] = 1; next }
  $1 !~ /^[0-9]+:$/ || $8 == "" { next }
  {
    version = ""
    name = $8
    if ((at = index(name, "@")) > 0) { version = substr(name, at); gsub(/@/, "", version); name = substr(name, 1, at - 1) }
    if (name in provided || ($5 == "WEAK" && $7 == "UND")) next
    if ($7 == "UND" || version != "" || name in copied) print name, (version == "" ? "-" : version), $4, $3
  }' "$work/provided" "$work/copied" - | sort -k2,2 -k1,1 >"$work/symbols"

awk '{ if ($3 == "OBJECT") printf "char %s[%d];\n", $1, ($4 > 0 ? $4 : 1)
       else printf "long %s(void) { return 0; }\n", $1 }' "$work/symbols" >"$work/stub.c"
awk '$2 != "-" { if ($2 != last) { if (last != "") print "};"; print $2 " { global:"; last = $2 } print "  " $1 ";" }
     END { if (last != "") print "};" }' "$work/symbols" >"$work/stub.map"

${CC:-cc} -shared -fPIC -O1 -nostdlib -fno-builtin -w "$work/stub.c" \
  -Wl,--version-script="$work/stub.map" -Wl,-z,now -Wl,-soname,libneon_redo_stub.so \
  -o "$out/libneon_redo_stub.so"
while read -r name; do ln -s libneon_redo_stub.so "$out/$name"; done <"$work/stubbed"
stat -L -c '%s %Y' "$postgres" >"$out/for_postgres"
# Check that this postgres starts with them.
LD_LIBRARY_PATH="$out" "$postgres" --version >/dev/null
