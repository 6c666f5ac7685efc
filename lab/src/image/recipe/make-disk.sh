# Runs inside the root tree, in /srv; /mnt is that tree again, with nothing else mounted in it.
set -eu
export PATH=/usr/sbin:/usr/bin LC_ALL=C
cd /srv
version=$(basename /lib/modules/*)

# --- For direct boot. Unpacking its kernel is what an emulated processor is slowest at, so it is unpacked here: QEMU
# enters an unpacked one by PVH.
cp "/boot/vmlinuz-$version" vmlinuz
python3 - <<'END' | zstd -qdc >kernel
import struct, sys
image = open("vmlinuz", "rb").read()
# Linux boot protocol: the compressed payload lies payload_offset bytes after the real-mode sectors. Its last four bytes
# are the unpacked size.
start = (image[0x1F1] + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
length = struct.unpack_from("<I", image, 0x24C)[0]
sys.stdout.buffer.write(image[start : start + length - 4])
END
mkdir -p tree/bin tree/modules tree/dev tree/proc tree/sys tree/root
cp init tree/init
chmod 0755 tree/init
cp /bin/busybox tree/bin/
for applet in sh mount insmod sleep cp rm ip switch_root poweroff; do ln -s busybox "tree/bin/$applet"; done
# What the root disk and the card need, in the order in which modules need each other; what is built in has no file.
# nfnetlink because systemd opens such a socket at once, and the kernel would start a modprobe to find the module.
number=10
for module in virtio_blk ext4 virtio_net virtio_rng nfnetlink; do
    modprobe --set-version "$version" --show-depends "$module"
done | while read -r what path rest; do
    [ "$what" = insmod ] || continue
    name=$(basename "$path" .xz)
    ! ls tree/modules | grep -qx "[0-9]*-$name" || continue
    xz -dc "$path" >"tree/modules/$number-$name"
    number=$((number + 1))
done
find tree -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
(cd tree && find . | sort | busybox cpio -o -H newc --renumber-inodes --ignore-devno 2>/dev/null) >initrd.cpio
# The host appends an archive with the machine's identity, which must begin at a multiple of four.
dd if=initrd.cpio of=initrd bs=512 conv=sync status=none
dpkg-query --show --showformat '${Package}\t${Version}\n' >packages

# --- The disk.
find /mnt -xdev -newermt "@$SOURCE_DATE_EPOCH" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
# Containers share the tree, and need no kernel, boot loader or modules of their own.
tar --create --file root.tar --directory /mnt --one-file-system --numeric-owner --sort=name \
    --xattrs --xattrs-include=security.capability --exclude='./boot/*' --exclude='./usr/lib/modules/*' \
    --exclude='./usr/lib/grub/*' --exclude='./initrd.img*' --exclude='./vmlinuz*' .
truncate -s "${LAB_DISK_MIB}M" disk.raw
root_start=66
root_size=$((LAB_DISK_MIB - root_start - 1))
sfdisk -q disk.raw <<END
label: gpt
label-id: 4C414230-0000-4000-8000-000000000000
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=4C414230-0000-4000-8000-000000000001, name=bios
start=4096, size=131072, type=U, uuid=4C414230-0000-4000-8000-000000000002, name=esp
start=$((root_start * 2048)), size=$((root_size * 2048)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=4C414230-0000-4000-8000-000000000003, name=root
END
# The inode tables are zero, and known to be: the kernel has nothing to initialise behind the first boot's back.
ln -sf /proc/mounts /etc/mtab
mke2fs -q -F -t ext4 -L root -U 4c414230-0000-4000-8000-000000000004 -m 1 -J size=64 \
    -E "offset=$((root_start << 20)),hash_seed=4c414230-0000-4000-8000-000000000005,lazy_itable_init=0,nodiscard" \
    -d /mnt disk.raw "$((root_size << 10))k"

# --- Boot loaders for BIOS and UEFI: each finds the root by its label and reads /boot/grub/grub.cfg there.
cat >early.cfg <<'END'
search --no-floppy --label root --set=root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
END
modules='part_gpt ext2 fat search search_label configfile normal linux echo test serial terminal gzio minicmd ls cat reboot halt'
grub-mkimage -O i386-pc -o core.img -c early.cfg -p /boot/grub $modules biosdisk
grub-mkimage -O x86_64-efi -o BOOTX64.EFI -c early.cfg -p /boot/grub $modules efi_gop
python3 - <<'END'
import struct
boot = bytearray(open("/usr/lib/grub/i386-pc/boot.img", "rb").read())
core = bytearray(open("core.img", "rb").read())
core += bytes(-len(core) % 512)
assert len(core) <= 1 << 20, "core.img is larger than its partition"
# What grub-bios-setup writes: where boot.img finds the first sector of core.img, and in that sector a list of the
# others. The two no-ops make boot.img trust the BIOS about the boot drive.
start = 2048
struct.pack_into("<Q", boot, 0x5C, start)
boot[0x66:0x68] = b"\x90\x90"
struct.pack_into("<QHH", core, 0x1F4, start + 1, len(core) // 512 - 1, 0x820)
with open("disk.raw", "r+b") as disk:
    disk.write(boot[:440])
    disk.seek(start * 512)
    disk.write(core)
END
truncate -s 64M esp.img
mkfs.vfat -F 32 -n ESP -i 4C414236 --invariant esp.img >/dev/null
touch -d "@$SOURCE_DATE_EPOCH" BOOTX64.EFI
mmd -i esp.img ::/EFI ::/EFI/BOOT
mcopy -m -i esp.img BOOTX64.EFI ::/EFI/BOOT/BOOTX64.EFI
dd if=esp.img of=disk.raw bs=1M seek=2 conv=notrunc,sparse status=none
rm -rf tree init make-disk.sh vmlinuz initrd.cpio early.cfg core.img BOOTX64.EFI esp.img
