#!/bin/sh
# Collects what a program needs at run time into a folder that becomes the whole image: itself, the shared libraries that
# it was linked with, the certificate authorities, and a place for temporary files. Usage: collect.sh PROGRAM FOLDER
set -eu
program=$1 folder=$2
mkdir -p "$folder/usr/bin" "$folder/etc/ssl/certs" "$folder/tmp"
chmod 1777 "$folder/tmp"
cp "$program" "$folder/usr/bin/"
# `libc.so.6 => /lib/… (0x…)`, and the loader `/lib64/ld-linux-x86-64.so.2 (0x…)`.
ldd "$program" | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | while read -r library; do
  mkdir -p "$folder$(dirname "$library")"
  cp -L "$library" "$folder$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
# Names of this machine before DNS, and nobody but the one user.
printf 'hosts: files dns\n' >"$folder/etc/nsswitch.conf"
printf 'tidegate:x:65532:65532::/tmp:/nonexistent\n' >"$folder/etc/passwd"
printf 'tidegate:x:65532:\n' >"$folder/etc/group"
