#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What each process still may, as the kernel says, and as the process itself finds out when
# somebody acts in its place (act_as.py). The lists one by one are told by
# tests/unit/test_sandbox.c and test_sandbox_files.c; that they hold nobody up, by all the other
# system tests.
load lib

teardown() {
    tell_what_happened
    all_is_forgotten
}

none=0000000000000000
network=0000000000003400 # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW
spawning=0000000000080400 # CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE: root's, see workshop.c
starting=0000000080080400 # and CAP_SETFCAP

pid_of() { # NAME -> of the one process of that name and of user $owner, and not the world's own
    local pid
    for pid in $(processes "$1"); do
        [ "$1" != dnsmasq ] || grep -qaF -- --keep-in-foreground "/proc/$pid/cmdline" || continue
        [ "$(stat -c %u "/proc/$pid")" != "${owner:-$WORLD_UID}" ] || echo "$pid"
    done
}

says() { # NAME FIELD
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$(pid_of "$1")/status"
}

confined() { # NAME CAPABILITIES...
    local set name=$1
    is "$(says "$name" Seccomp)" 2
    is "$(says "$name" NoNewPrivs)" 1
    shift
    for set in CapEff CapPrm CapInh CapAmb; do
        is "$name $set $(says "$name" "$set")" "$name $set $1"
        [ $# = 1 ] || shift
    done
}

everybody_is_there() {
    local name
    for name in vmnet-broker vmnet-starter vmnet-netd vmnet-anchor vmnet-spawner vmnet-relay; do
        running "$name" || return
    done
}

can_read_memory_of() { # NAME -> with the namespace's capabilities, as dnsmasq has them
    ctl exec -- sh -c "exec </proc/$(pid_of "$1")/mem"
}

# Once more where it was caught at work instead of waiting.
act() { # NAME WHAT [PATH] -> in the place of NAME; prints what comes of it
    local pid tries=0
    pid=$(pid_of "$1")
    shift
    until python3 "$BATS_TEST_DIRNAME/act_as.py" "$pid" "$@" 2>"$BATS_TEST_TMPDIR/act"; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || {
            cat "$BATS_TEST_TMPDIR/act" >&2
            return 1
        }
        sleep 0.1
    done
}

acts() { # RESULT NAME WHAT [PATH]
    local wanted=$1
    shift
    is "$*: $(act "$@")" "$*: $wanted"
}

has_landlock() {
    vmnet-brokerctl doctor --json |
        pick '[c["result"] for c in d if c["check"] == "sandbox"] == ["ok"]' | grep -q True
}

only_here() { # the machine that act_as.py knows
    [ "$(uname -m)" = x86_64 ] || skip "optional: calls are made for x86-64 only"
}

uplink_is_ok() {
    is "$(status_of shared "n['status']['network']['uplink']")" ok 2>/dev/null
}

has_an_interface() {
    vmnet-brokerctl --user status --json | grep -q mac_address
}

is_lost() {
    vmnet-brokerctl --user status --json | grep -q 'was lost with its namespace'
}

stopped_for_good() { # clients that lost a network may just be asking for it again
    vmnet-brokerctl --user stop >&2 || true
    nothing_runs
}

sanitized() {
    grep -q __asan_init "$(command -v vmnet-broker)"
}

@test "every process has a filter, no way to more privileges, and only capabilities that it uses" {
    hold shared
    eventually 10 everybody_is_there
    confined vmnet-broker "$none"
    confined vmnet-starter "$none"
    confined vmnet-anchor "$none"
    confined vmnet-spawner "$none"
    confined vmnet-relay "$none"
    confined vmnet-netd "$network" "$network" "$none" "$none"
    confined dnsmasq "$network"
    is "$(says vmnet-netd CapBnd)" "$network"
}

@test "no process touches a file that it does not need, whoever has taken it over" {
    only_here
    has_landlock || skip "this kernel has no Landlock"
    local home key name
    home=$(user_home)
    key=$home/key
    as_user sh -c "echo secret >'$key'"
    hold shared
    eventually 10 everybody_is_there
    acts fine vmnet-broker read "$key" # definitions may be anywhere
    acts EACCES vmnet-broker write "$key"
    acts EACCES vmnet-broker make "$home/.profile"
    for name in vmnet-netd dnsmasq; do
        acts EACCES "$name" read "$key"
        acts EACCES "$name" write "$key"
        acts EACCES "$name" make "$home/.profile"
        acts EACCES "$name" make "$home/.local/state/vmnet-broker/memory.json"
        acts EACCES "$name" make "/run/user/$WORLD_UID/left"
        acts EACCES "$name" read "/proc/$(pid_of vmnet-spawner)/mem"
        acts fine "$name" write "$home/.local/state/vmnet-broker/netd/0/leases"
        acts fine "$name" read /usr/bin/env
    done
    acts EACCES vmnet-relay read "$key"
    acts fine vmnet-relay read /etc/resolv.conf
    # The spawner starts pasta, which confines itself by what would be forbidden.
    acts fine vmnet-spawner write "$key"
    rm "$key"
}

@test "slirp4netns, where it is the way out, reads nothing of its user's either" {
    command -v slirp4netns >/dev/null || skip "slirp4netns is not installed"
    local key
    key=$(user_home)/key
    as_user sh -c "echo secret >'$key'"
    as_user env VMNET_BROKER_UPLINK_ENGINE=slirp4netns vmnet-broker --user --background
    hold shared
    eventually 10 running slirp4netns
    eventually 10 uplink_is_ok
    confined slirp4netns "$none"
    [ "$(uname -m)" != x86_64 ] || ! has_landlock || acts EACCES slirp4netns read "$key"
    rm "$key"
}

@test "a call that is on no list ends the process, each of ours; and others take its place" {
    only_here
    local name
    hold shared
    eventually 10 everybody_is_there
    acts EPERM dnsmasq change_rules # not ours: it is refused, and lives
    acts SIGSYS dnsmasq add_key     # nobody's
    for name in vmnet-relay vmnet-anchor vmnet-spawner vmnet-netd; do
        acts SIGSYS "$name" add_key
        eventually 10 everybody_is_there
    done
    acts SIGSYS vmnet-starter add_key
    acts SIGSYS vmnet-broker add_key
    eventually 10 ctl run --network shared --name web -- true
    eventually 10 everybody_is_there
}

@test "whoever takes dnsmasq over finds netd's memory closed, and the anchor still lets netd in" {
    sanitized && skip "optional: the sanitizers look into netd themselves"
    hold shared
    eventually 10 everybody_is_there
    can_read_memory_of vmnet-anchor
    not can_read_memory_of vmnet-netd
    kill -KILL "$(processes vmnet-netd)"
    eventually 10 running vmnet-netd
    eventually 10 ctl run --network shared --name web -- true
    not can_read_memory_of vmnet-netd
}

@test "a broker that comes to its end ends by itself, and well" {
    local broker
    as_user_in_background foreground timeout 60 vmnet-broker --user
    broker=$!
    eventually 10 test -S "/run/user/$WORLD_UID/vmnet-broker/broker.sock"
    ctl run --network shared --name web -- true
    ctl status >/dev/null
    eventually 10 ctl stop
    wait "$broker"
    eventually 20 nothing_is_left
}

@test "a broker whose starter was killed serves on, and makes way when it needs netd" {
    local broker
    hold shared
    broker=$(broker_pid)
    kill -KILL "$(processes vmnet-starter)"
    ctl run --network host --name a -- true
    is "$(broker_pid)" "$broker"
    kill -KILL "$(processes vmnet-netd)"
    eventually 20 not kill -0 "$broker" 2>/dev/null
    ctl run --network shared --name a -- true
    eventually 10 everybody_is_there
}

@test "root's processes have no capability either that they do not use, and root's guests get a network" {
    [ "$(id -u)" = 0 ] || skip "optional: we are not root"
    local root=$WORLD/root owner=0
    mkdir -p "$root/run" "$root/state"
    export XDG_RUNTIME_DIR=$root/run XDG_STATE_HOME=$root/state
    timeout 60 vmnet-brokerctl --user acquire shared >"$WORLD/log/root" 2>&1 3>&- 4>&- &
    eventually 10 everybody_is_there
    confined vmnet-broker "$none"
    confined vmnet-starter "$starting" "$starting" "$none" "$none"
    confined vmnet-spawner "$spawning" "$spawning" "$none" "$none"
    confined vmnet-anchor "$none"
    confined vmnet-relay "$none"
    confined vmnet-netd "$network" "$network" "$none" "$none"
    confined dnsmasq "$network"
    is "$(says vmnet-starter CapBnd)" "$starting"
    if [ "$(uname -m)" = x86_64 ] && has_landlock; then
        echo secret >"$root/key"
        acts EACCES vmnet-netd write /proc/sys/kernel/core_pattern
        acts EACCES dnsmasq write /proc/sys/kernel/core_pattern
        acts EACCES dnsmasq read /etc/shadow
        acts EACCES dnsmasq read "$root/key"
        acts EACCES vmnet-netd read "$root/key"
        acts EACCES vmnet-broker write "$root/key"
    fi
    vmnet-brokerctl --user run --network shared --name web -- true
    kill -KILL "$(pid_of vmnet-anchor)" "$(pid_of vmnet-spawner)" # and all comes back
    eventually 10 everybody_is_there
    vmnet-brokerctl --user run --network shared --name web -- true
    # A VM that has more capabilities than we is found all the same.
    timeout 60 vmnet-brokerctl --user run --network shared --name vm -- sleep 50 \
        >"$WORLD/log/root-vm" 2>&1 3>&- 4>&- &
    eventually 10 has_an_interface
    kill -KILL "$(pid_of vmnet-anchor)" "$(pid_of vmnet-netd)" "$(pid_of dnsmasq)"
    eventually 10 is_lost
    # shellcheck disable=SC2046 # several
    kill $(processes vmnet-brokerctl) $(processes sleep)
    eventually 10 not is_lost 2>/dev/null
    eventually 20 stopped_for_good
    rm -rf "$root"
}
