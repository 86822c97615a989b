# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# system.bash - the words for a system instance: `load lib`, then `load system`.
#
# In a world the system has users of its own, whom the machine does not know: alice and bob are
# in group vmnet, carol is not; vmnet-broker and vmnet-netd are the instance's. Its directories
# in /run are the world's anyway, that in /var/lib is made so here.

SYSTEM_BROKER_UID=4201 SYSTEM_NETD_UID=4202
SYSTEM_LOG=$WORLD/log/system

make_system_users() {
    local files=$WORLD/accounts name uid
    [ ! -d "$files" ] || return 0
    mkdir "$files"
    cp /etc/passwd /etc/group "$files"
    while read -r name uid; do
        echo "$name:x:$uid:$uid::/nonexistent:/usr/sbin/nologin" >>"$files/passwd"
        echo "$name:x:$uid:" >>"$files/group"
        make_user "$uid"
    done <<END
alice 4101
bob 4102
carol 4103
vmnet-broker $SYSTEM_BROKER_UID
vmnet-netd $SYSTEM_NETD_UID
END
    echo "vmnet:x:4200:alice,bob" >>"$files/group"
    mount --bind "$files/passwd" /etc/passwd
    mount --bind "$files/group" /etc/group
    mount -t tmpfs -o mode=0755 world /var/lib
}

as() { # NAME FUNCTION... -> `as alice ctl list`, `as bob start_guest db --network shared`
    local -x WORLD_UID
    WORLD_UID=$(id -u "$1")
    shift
    "$@"
}

# As root would start it on a machine without systemd.
start_system() { # OPTIONS...
    vmnet-broker --system "$@" >>"$SYSTEM_LOG" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    eventually 10 system_answers
}

system_answers() {
    vmnet-brokerctl --system list >/dev/null 2>&1
}

# Who holds a network has been told to go, and may need a moment for that.
stop_system() {
    eventually 10 system_stopped
    eventually 20 system_is_over
}

system_stopped() {
    vmnet-brokerctl --system stop || not running vmnet-broker
}

processes_of() { # UID NAME -> pids
    local pid
    for pid in $(processes "$2"); do
        [ "$(stat -c %u "/proc/$pid")" != "$1" ] || echo "$pid"
    done
}

# Whatever runs as one of the instance's users: "PID NAME" each.
system_processes() {
    local pid
    for pid in /proc/[0-9]*; do
        case $(stat -c %u "$pid" 2>/dev/null) in
        "$SYSTEM_BROKER_UID" | "$SYSTEM_NETD_UID")
            [ ! -e "$pid/exe" ] || echo "${pid#/proc/} $(cat "$pid/comm" 2>/dev/null)"
            ;;
        esac
    done
}

system_is_over() {
    is "$(system_processes)" ""
} 2>/dev/null

# After its end: no process, link, rule or file but what is meant to be remembered.
nothing_is_left_of_system() {
    system_is_over || {
        echo "still running: $(system_processes)" >&2
        return 1
    }
    is "$(ip -o link | cut -d: -f2 | tr -d ' ' | sort | tr '\n' ' ')" "eth0@if2 lo "
    is "$(nft list ruleset)" ""
    is "$(find /run/vmnet-broker -mindepth 1)" ""
    is "$(find /run/vmnet-netd -mindepth 1 ! -name netd.sock)" ""
    is "$(find /var/lib/vmnet-broker /var/lib/vmnet-netd -mindepth 1 ! -type d \
        ! -name memory.json ! -name '*.lock')" ""
    not grep -E -A 12 'runtime error:|Sanitizer:' "$SYSTEM_LOG"
}

# PID FIELD -> from /proc/PID/status
status_field() {
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

tell_what_happened_in_system() {
    # shellcheck disable=SC2154 # bats's own
    [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 30 "$SYSTEM_LOG" | sed 's/^/system: /'
    tell_what_happened
}
