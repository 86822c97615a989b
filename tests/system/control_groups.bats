#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A VM's control group is killed, as a container's or a service's is in the end (cgroup.kill).
# Where the systemd user manager answers, we are not in it; it is a real one, that of the
# distribution, in a control group of this test's own. Elsewhere we are in that of the first
# client, and vmnet-broker(8) says so.
load lib

GROUPS_DIR=/sys/fs/cgroup # where systemd looks, and empty in this world
MINE=${MINE:-$GROUPS_DIR/vmnet-broker-test-$(date +%s)-$BASHPID} # of the file, by setup_file()

setup_file() {
    export MINE
    { [ "$(id -u)" = 0 ] && mount -t cgroup2 cgroup2 "$GROUPS_DIR" &&
        mkdir "$MINE" "$MINE"/{manager,story}; } 2>/dev/null || return 0
    # Delegated, as a login does it: this user may make groups there and move own processes.
    chown -R "$WORLD_UID:$WORLD_UID" "$MINE"
    { # dbus-daemon wants to know the user
        cat /etc/passwd
        echo "world:x:$WORLD_UID:$WORLD_UID::$(user_home):/bin/sh"
    } >"$WORLD/passwd"
    mount --bind "$WORLD/passwd" /etc/passwd
}

setup() {
    [ -e "$MINE" ] || skip "optional: no control groups can be made here"
}

teardown() {
    tell_what_happened
    # All that this test has begun, and nothing else, is in there.
    [ ! -e "$MINE/cgroup.kill" ] || echo 1 >"$MINE/cgroup.kill"
    all_is_forgotten &&
        find "/run/user/$WORLD_UID" -mindepth 1 -delete # whole again, and no manager is in it
}

teardown_file() {
    [ -e "$MINE" ] || return 0
    eventually 10 groups_are_gone
    umount /etc/passwd "$GROUPS_DIR"
}

groups_are_gone() {
    find "$MINE" -depth -type d -exec rmdir {} +
} 2>/dev/null

# In a group of this name; what it starts is there, too.
as_user_in_group() { # GROUP LOGNAME COMMAND...
    local group=$MINE/$1
    mkdir -p "$group"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        shift
        as_user_in_background "$@"
    )
}

start_manager() {
    mkdir -p /run/systemd/system # the manager asks whether the system is systemd's
    as_user_in_group manager manager env systemd --user --log-target=console
    eventually 20 as_user busctl --user status org.freedesktop.systemd1 >/dev/null
}

group_of() { # PID
    sed -n 's/^0:://p' "/proc/$1/cgroup"
}

kill_group() { # GROUP
    echo 1 >"$MINE/$1/cgroup.kill"
    eventually 10 is_empty "$1"
}

is_empty() { # GROUP
    is "$(cat "$MINE/$1/cgroup.procs")" ""
} 2>/dev/null

start_vm() { # NAME -> in a group of its own
    as_user_in_group "$1" "vm-$1" vmnet-brokerctl run --network shared --name "$1" -- sleep 300
    eventually 10 vm_is_there "$1"
}

vm_is_there() { # NAME
    has " $(vms) " " $1 "
} 2>/dev/null

vms() {
    status_of shared "' '.join(sorted(i['name'] for i in n['interfaces']))"
}

vms_are() { # NAME...
    is "$(vms)" "$*"
} 2>/dev/null

@test "the systemd user manager starts us: the first VM's control group dies, and nobody else" {
    start_manager
    start_vm first
    local broker netd anchor
    broker=$(broker_pid) netd=$(processes vmnet-netd) anchor=$(processes vmnet-anchor)
    has "$(group_of "$broker")" "/manager/*/vmnet-broker-*.service"
    start_vm second
    kill_group first
    eventually 10 vms_are second
    is "$(broker_pid) $(processes vmnet-netd) $(processes vmnet-anchor)" "$broker $netd $anchor"
    start_vm third
    vms_are second third
}

@test "two guests under traffic do not notice that the first VM's control group is killed" {
    start_manager
    (
        echo "$BASHPID" >"$MINE/story/cgroup.procs"
        WITHIN=100 as_user env GROUP="$MINE/traffic" python3 "$WORLD/scripts/deaths.py" cgroup
    )
}

@test "the unit of the broker is stopped: VMs keep their network, and the next unit takes it over" {
    start_manager
    start_vm first
    local netd unit
    netd=$(processes vmnet-netd) unit=$(group_of "$(broker_pid)")
    as_user systemctl --user stop "${unit##*/}"
    # Who holds a network asks for a broker at once.
    eventually 10 vms_are first
    is "$(processes vmnet-netd)" "$netd"
    not is "$(group_of "$(broker_pid)")" "$unit" 2>/dev/null
}

@test "without a manager we are in the first VM's control group; others' VMs keep their addresses' subnet" {
    start_vm first
    has "$(group_of "$(broker_pid)")" "/first"
    local subnet
    subnet=$(status_of shared "n['status']['network']['ipv4_subnet']")
    start_vm second
    kill_group first
    # The second VM's client has asked for the network again, and gets another one.
    eventually 20 is_lost "$subnet"
    not is "$(status_of shared "n['status']['network']['ipv4_subnet']")" "$subnet" 2>/dev/null
    kill_group second
    eventually 10 not is_lost "$subnet"
}

is_lost() { # SUBNET
    has "$(ctl status --json | pick "d['broker']['problems']")" "network 'shared' ($1) was lost with its namespace"
} 2>/dev/null
