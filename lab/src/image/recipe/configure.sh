#!/bin/sh
# Turns the packages' root tree $1 into one of a lab machine: a user, ssh by key only, a short boot.
# mmdebstrap runs it after the packages are installed. It leaves nothing in the tree that tells two machines apart.
set -eu
root=$1
unit=$root/etc/systemd/system

# --- Who may log in. The name is the one that Debian's own cloud images use, so all images have one user. The password
# is no password: `*` matches nothing, and unlike `!` it does not lock out keys. No person of the computer has the id,
# with which containers share theirs (`USER_ID` in lab/core/src/identity/boot.rs).
chroot "$root" useradd --create-home --uid 59999 --shell /bin/bash --password '*' debian
chroot "$root" usermod --password '*' root
echo 'debian ALL=(ALL:ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/lab"
chmod 0440 "$root/etc/sudoers.d/lab"
cat >"$root/etc/ssh/sshd_config.d/lab.conf" <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
X11Forwarding no
PrintMotd no
END

# --- No identity: keys, id, name and address come from outside at boot.
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/hostname" "$root/var/lib/dbus/machine-id" "$root/etc/resolv.conf"
: >"$root/etc/resolv.conf"
echo uninitialized >"$root/etc/machine-id"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
echo '# The root is mounted, writable, by whatever boots the machine.' >"$root/etc/fstab"

# --- Boot in two stages. The first starts sshd and nothing else, so that a machine is reached after a few seconds on an
# emulated processor too; the second is the ordinary multi-user.target. At the first boot the lab starts it when Ansible has
# reached every machine, else they compete for the processors; a minute later it starts by itself. At later boots it
# follows five seconds after sshd. What a first-stage unit names, systemd loads, with all that is ordered around it: hence
# no default dependencies and no journal there.
cat >"$unit/lab.target" <<'END'
[Unit]
# systemd prints this on the console when sshd is up, and the host waits for it. A unit that ran `echo` instead would
# cost half a second of an emulated processor.
Description=lab: ssh ready
DefaultDependencies=no
Wants=ssh.service lab-late.timer
After=ssh.service
AllowIsolate=yes
END
cat >"$unit/lab-late.timer" <<'END'
[Unit]
Description=Wait a little with the rest of the system
DefaultDependencies=no
After=ssh.service

[Timer]
OnActiveSec=60
AccuracySec=1
END
cat >"$unit/lab-late.service" <<'END'
[Unit]
Description=Start the rest of the system
DefaultDependencies=no

[Service]
Type=oneshot
# Started once more, it does nothing.
RemainAfterExit=yes
# An emulated machine is told to boot with one processor; here it gets the others.
ExecStart=/bin/sh -c 'for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do [ ! -w "$cpu" ] || echo 1 >"$cpu"; done'
ExecStart=/usr/bin/systemctl --no-block start multi-user.target
ExecStart=/bin/sh -c 'cd /etc/systemd/system; mkdir -p lab-late.timer.d; printf "[Timer]\\nOnActiveSec=\\nOnActiveSec=5\\n" >lab-late.timer.d/10-later-boots.conf'
StandardOutput=null
StandardError=null
END
ln -s lab.target "$unit/default.target"
# Debian's unit, without the test of the configuration (made below, once) and without what the first stage must not have.
cat >"$unit/ssh.service" <<'END'
[Unit]
Description=OpenBSD Secure Shell server
Documentation=man:sshd(8) man:sshd_config(5)
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=notify
ExecStart=/usr/sbin/sshd -D
ExecReload=/usr/sbin/sshd -t
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=on-failure
RestartPreventExitStatus=255
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755
# sshd writes to syslog.
StandardOutput=null
StandardError=null

[Install]
Alias=sshd.service
END
# Debian's unit makes keys of every kind, after all of sysinit.target. A machine that was given a key makes none.
cat >"$unit/sshd-keygen.service" <<'END'
[Unit]
Description=Make a host key where none was given
DefaultDependencies=no
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
Before=ssh.service

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
StandardOutput=null
StandardError=null
END
rm -f "$unit"/*.wants/sshd-keygen.service "$unit/multi-user.target.wants/ssh.service"
mkdir -p "$unit/ssh.service.wants" "$unit/getty.target.wants" "$unit/multi-user.target.wants"
ln -s ../sshd-keygen.service "$unit/ssh.service.wants/"
ln -s ../ssh.service "$unit/multi-user.target.wants/"
# pam_nologin would refuse logins until the second stage is over.
ln -s /dev/null "$root/etc/tmpfiles.d/systemd-nologin.conf"
# Nothing to run and nothing to read at each login.
sed -i -e '/pam_motd.so/d' -e '/pam_mail.so/d' "$root/etc/pam.d/sshd"

# --- A machine that is told to end ends, whatever runs in it. systemd gives programs that do not listen this long twice,
# as parts of units and as what is left of them, and `lab down` waits two minutes; with its own 90 s that is not enough.
mkdir -p "$root/etc/systemd/system.conf.d"
printf '[Manager]\nDefaultTimeoutStopSec=30s\n' >"$root/etc/systemd/system.conf.d/lab.conf"

# --- The serial console has a login prompt, in the second stage.
ln -s /usr/lib/systemd/system/serial-getty@.service "$unit/getty.target.wants/serial-getty@ttyS0.service"

# --- A machine that was given no address (booted from its own disk, by Packer for one) asks for one.
cat >"$root/etc/systemd/network/80-dhcp.network" <<'END'
[Match]
Type=ether
Kind=!*

[Network]
DHCP=yes
END
# The initrd has set the address of a directly booted machine, for good: nothing is left to manage there, and what
# Kubernetes does to the network is nobody else's business.
for name in systemd-networkd.service systemd-networkd.socket; do
    mkdir -p "$unit/$name.d"
    printf '[Unit]\nConditionKernelCommandLine=!lab.direct\n' >"$unit/$name.d/lab.conf"
done
ln -s /usr/lib/systemd/system/systemd-networkd.service "$unit/multi-user.target.wants/"

# --- The disk of a machine may be larger than the image's.
cat >"$unit/lab-grow.service" <<'END'
[Unit]
Description=Grow the root file system to the end of its disk
ConditionPathExists=/run/lab-grow

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/lab-grow
END
ln -s ../lab-grow.service "$unit/multi-user.target.wants/"
cat >"$root/usr/local/sbin/lab-grow" <<'END'
#!/bin/sh
# Grows the partition that the root is on, and the file system in it, to the end of the disk.
set -eu
device=$(findmnt -no SOURCE /)
name=${device##*/}
disk=$(basename "$(dirname "$(readlink -f "/sys/class/block/$name")")")
number=$(cat "/sys/class/block/$name/partition")
echo ', +' | sfdisk --quiet --force --no-reread --no-tell-kernel -N "$number" "/dev/$disk"
partx --update --nr "$number" "/dev/$disk"
resize2fs "$device"
END
chmod 0755 "$root/usr/local/sbin/lab-grow"

# --- What no lab machine needs, and what was done here already.
mkdir -p "$root/etc/systemd/system-generators"
for generator in debug fstab getty gpt-auto hibernate-resume rc-local run ssh system-update sysv tpm2; do
    ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
for name in \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    dev-hugepages.mount dev-mqueue.mount run-lock.mount tmp.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    e2scrub_reap.service getty@tty1.service grub-common.service ldconfig.service \
    proc-sys-fs-binfmt_misc.automount remote-fs.target systemd-ask-password-console.path systemd-ask-password-wall.path \
    systemd-binfmt.service systemd-firstboot.service systemd-hibernate-clear.service systemd-hwdb-update.service \
    systemd-journal-catalog-update.service systemd-pcrmachine.service systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-pstore.service systemd-remount-fs.service systemd-sysusers.service \
    systemd-tpm2-setup-early.service systemd-tpm2-setup.service systemd-udev-load-credentials.service \
    systemd-update-done.service systemd-networkd-wait-online.service; do
    rm -f "$unit"/*.wants/"$name"
    ln -sf /dev/null "$unit/$name"
done
chroot "$root" journalctl --quiet --update-catalog

# --- Started from its own disk, by BIOS or UEFI. Debian keeps the two links pointing at the newest kernel.
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<'END'
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
linux /vmlinuz root=PARTLABEL=root rw net.ifnames=0 quiet console=tty0 console=ttyS0
initrd /initrd.img
boot
END

mkdir -p "$root/run/sshd"
chroot "$root" ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
chroot "$root" /usr/sbin/sshd -t
rm -rf "$root"/etc/ssh/ssh_host_* "$root/run/sshd"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/ldconfig/*
