#!/bin/sh
# Builds the module into a root filesystem: build.sh ROOT ASTERISK_VERSION. Runs in a mount namespace of its own.
# Asterisk's headers come from the package of the same version and are forgotten with the namespace.
set -eu
root=$1 version=$2
here=$(dirname "$(readlink -f "$0")")
modules=$(dirname "$(find "$root/usr/lib" -name chan_pjsip.so | head -n 1)")
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
chroot "$root" sh -c "cd /tmp && apt-get download asterisk-dev=$version"
dpkg -x "$root"/tmp/asterisk-dev_*.deb "$root/tmp/headers"
name=res_trunkline_retry_after
gcc -shared -fPIC -O2 -Wall -Werror -DAST_MODULE="\"$name\"" -DAST_MODULE_SELF_SYM="__internal_${name}_self" \
    -I"$here/pjsip_names" -I"$root/tmp/headers/usr/include" -o "$modules/$name.so" "$here/$name.c"
