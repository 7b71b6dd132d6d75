#!/bin/bash
# Runs a session in a private view of the root file system: changes go to memory.
#
# Usage: sandbox.sh DIRECTORY PROGRAMS WORKSPACE, in network, mount and process namespaces of its own.
# DIRECTORY holds session.sh and the files of the page, PROGRAMS the built programs. Exits with 77 where the
# kernel cannot do this.
set -eu
directory=$1 programs=$2 workspace=$3
names="oxish oxivirtd oxivirt_launch oxivirt_leaseshelper oxivirt-netservd"

mount --make-rprivate /
top=$directory/top
mkdir "$top"
mount -t tmpfs -o mode=755 sandbox "$top" || exit 77
mkdir "$top/upper" "$top/work" "$top/root"
root=$top/root
mount -t overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" overlay "$root" || exit 77
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# What the host has here would change the result.
for path in run etc/libvirt var/lib/libvirt var/lib/oxivirt; do
    mkdir -p "$root/$path"
    mount -t tmpfs -o mode=755 sandbox "$root/$path"
done
mount -t tmpfs -o mode=1777 sandbox "$root/tmp"

home=/srv/oxivirt
mkdir -p "$root$home/target/release" "$root$home/docs" "$root$home/packaging" "$root/blocks" "$root/opt/oxivirt"
mount --bind "$directory" "$root/blocks"
mount --bind "$workspace/docs" "$root$home/docs"
mount --bind "$workspace/packaging" "$root$home/packaging"
for name in $names; do
    for place in opt/oxivirt "srv/oxivirt/target/release"; do
        : > "$root/$place/$name"
        mount --bind "$programs/$name" "$root/$place/$name"
    done
done
if ! chroot "$root" /bin/sh -c 'command -v virsh' > /dev/null; then
    ln -s oxish "$root/opt/oxivirt/virsh"
fi
cp "$directory"/files/* "$root$home/" 2> /dev/null || true
ip link set lo up

exec chroot "$root" /usr/bin/env -i -C "$home" HOME=/root LANG=C.UTF-8 TZ=UTC \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/oxivirt \
    /bin/bash --noprofile --norc /blocks/session.sh
