#!/bin/sh
# The first process of a container: gives it control groups and settings of the kernel that are its own, and hands over
# to systemd. libvirt 9.0 starts containers without a namespace of groups and, with the first version of control
# groups, without a group of their own in some hierarchies: two machines would share those, and the rules of its
# `devices` group would stop the container runtime in the machine.
# Written into the machine's root by the lab at every start.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
top=/sys/fs/cgroup

say() { echo "lab: $*" >/dev/console; }
fail() {
    say "FAILED $*"
    exit 1
}

if [ "${1:-}" != inside ]; then
    # Outside yet: the groups are seen as the lab's host sees them, with the lab's own at the top.
    groups=$(cat /proc/self/cgroup)
    umount -R $top 2>/dev/null || umount -Rl $top 2>/dev/null
    case $groups in
    0::*)
        # The second version alone. libvirt's own process lives in the group it made, and a group with processes cannot
        # hand controllers down: the machine gets one beside it, with the same limits.
        mount -t cgroup2 cgroup2 $top || fail 'cannot mount the control groups'
        given=$top${groups#0::}
        group=$top/machines/$LIBVIRT_LXC_NAME
        mkdir -p "$group" || fail "cannot make $group"
        for parent in $top/machines "$group"; do
            for controller in cpu cpuset io memory pids; do
                echo "+$controller" >"${parent%/*}/cgroup.subtree_control" 2>/dev/null
            done
        done
        for limit in memory.max cpu.max cpuset.cpus; do
            [ ! -e "$given/$limit" ] || cat "$given/$limit" >"$group/$limit" || fail "cannot set $limit"
        done
        echo 0 >"$group/cgroup.procs" || fail "cannot join $group"
        ;;
    *)
        mount -t tmpfs -o mode=755 tmpfs $top || fail 'cannot mount the control groups'
        echo "$groups" | while IFS=: read -r _ controllers path; do
            case $controllers in
            '') place=unified kind=cgroup2 options= ;;
            name=*) place=${controllers#name=} kind=cgroup options=none,$controllers ;;
            *) place=$controllers kind=cgroup options=$controllers ;;
            esac
            mkdir "$top/$place"
            mount -t $kind ${options:+-o "$options"} cgroup "$top/$place" || fail "cannot mount $place"
            case $controllers:$path in
            # Not in the group that libvirt made: its rules would hold for all below, and forbid making others.
            devices:* | *devices*:* | *:/) path=/machines/$LIBVIRT_LXC_NAME ;;
            esac
            group=$top/$place$path/inside
            # What an earlier run of this machine left.
            [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
            mkdir -p "$group"
            case $controllers in
            *cpuset*)
                parent=${group#"$top/$place"/}
                made=$top/$place
                # A new group has neither processors nor memory.
                while [ "$parent" ]; do
                    next=${parent%%/*}
                    for file in cpuset.cpus cpuset.mems; do
                        [ "$(cat "$made/$next/$file")" ] || cat "$made/$file" >"$made/$next/$file"
                    done
                    made=$made/$next
                    case $parent in */*) parent=${parent#*/} ;; *) parent= ;; esac
                done
                ;;
            esac
            echo $$ >"$group/cgroup.procs" || fail "cannot join $place"
        done
        ;;
    esac
    exec unshare --cgroup "$0" inside
fi

# Now the machine's own group is the top of what it sees.
mounts=$(ls $top)
umount -R $top || umount -Rl $top
if [ "$(cut -d: -f1 /proc/self/cgroup)" = 0 ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 $top
else
    mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs $top
    for place in $mounts; do
        case $place in
        unified) kind=cgroup2 options=rw ;;
        systemd) kind=cgroup options=none,name=systemd ;;
        *) kind=cgroup options=$place ;;
        esac
        mkdir "$top/$place"
        mount -t $kind -o "nosuid,nodev,noexec,$options" cgroup "$top/$place"
        case $place in
        *,*) for one in $(echo "$place" | tr , ' '); do ln -s "$place" "$top/$one"; done ;;
        esac
    done
    # Else systemd mounts every hierarchy that the kernel has, the computer's unused ones too.
    mount -o remount,ro,bind $top
    # systemd refuses this version unless it is told that it is meant.
    export SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1
fi

# Settings of the network are the machine's own and may be written. Those of the kernel are the whole computer's and may
# not, so kubelet, and Kubespray from v2.31 on (kubernetes/preinstall, 0080-system-configurations.yml), which set some of
# them unless they hold already, get files of the machine's own in their place.
mount --bind /proc/sys/net /proc/sys/net && mount -o remount,rw,bind /proc/sys/net
# Everybody may ping, as in a machine that keeps the capabilities of its files.
echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir /run/lab
while read -r setting value; do
    file=/run/lab/$(echo "$setting" | tr / .)
    echo "$value" >"$file"
    [ ! -e "/proc/sys/$setting" ] || mount --bind "$file" "/proc/sys/$setting"
done <<END
fs/inotify/max_user_instances 8192
kernel/keys/root_maxbytes 25000000
kernel/keys/root_maxkeys 1000000
kernel/panic 10
kernel/panic_on_oops 1
vm/overcommit_memory 1
vm/panic_on_oom 0
END

# A login waits on the second console, and none on a serial line that a container has not.
units=/run/systemd/system
mkdir -p $units/getty.target.wants
ln -s /dev/null $units/serial-getty@ttyS0.service
for terminal in ${container_ttys:-}; do
    ln -s /usr/lib/systemd/system/container-getty@.service "$units/getty.target.wants/container-getty@${terminal#pts/}.service"
done

# An emulated machine waits with what comes after ssh, so that it is reached soon. Here nothing is gained by that, at no
# boot: the name sorts behind those of the image.
mkdir -p $units/lab-late.timer.d
printf '[Timer]\nOnActiveSec=\nOnActiveSec=0\n' >$units/lab-late.timer.d/90-container.conf

# kubelet and the runtime hand mounts from one process to another.
mount --make-rshared /
say 'root mounted'
# The words of the kernel's command line: in a container systemd reads them here.
exec /usr/lib/systemd/systemd lab.direct systemd.show_status=yes systemd.log_color=no TERM=dumb
