#!/bin/sh
# Makes the image out of the finished root tree $1, in $1/srv: a bootable disk (disk.qcow2), a kernel and an initrd
# for machines that are booted directly, and the tree itself (root.tar) for containers, which need no kernel. mmdebstrap runs it last. All tools but qemu-img are the tree's own, so that the
# host's versions do not matter.
set -eu
root=$1
work=$root/srv
recipe=${0%/*}
: "${LAB_DISK_MIB:?}" "${SOURCE_DATE_EPOCH:?}"
cp "$recipe/init" "$recipe/make-disk.sh" "$work/"
export root work
# Private mounts: /mnt becomes the tree alone, without the /proc, /sys and /dev mounted in it now, and without the work.
unshare --mount sh -eu -c '
    mount --bind "$root" "$root/mnt"
    for directory in dev run tmp srv; do
        mount -t tmpfs -o "mode=$(stat -c %a "$root/mnt/$directory")" none "$root/mnt/$directory"
    done
    chroot "$root" sh /srv/make-disk.sh
'
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/disk.qcow2"
rm "$work/disk.raw"
