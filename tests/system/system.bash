# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# system.bash - the words for a system instance: `load lib`, then `load system`.
#
# In a world the system has users of its own, whom the machine does not know: alice and bob are
# in group vmnet, carol is not; vmnet-broker, vmnet-netd and vmnet-uplink are the instance's. Its directories
# in /run are the world's anyway, /etc and /var/lib are made so here.

SYSTEM_BROKER_UID=4201 SYSTEM_NETD_UID=4202 SYSTEM_UPLINK_UID=4203
SYSTEM_LOG=$WORLD/log/system

setup() { # in setup_file() a skip would be a failure
    needs_users
}

needs_users() {
    [ "$(id -u)" = 0 ] || skip "optional: a system instance has several users, and only root has them"
}

make_account() { # NAME UID
    echo "$1:x:$2:$2::/nonexistent:/usr/sbin/nologin" >>/etc/passwd
    echo "$1:x:$2:" >>/etc/group
    make_user "$2"
}

make_people() {
    make_account alice 4101
    make_account bob 4102
    make_account carol 4103
}

make_system_users() {
    [ ! -d "$WORLD/etc" ] || return 0
    private_files
    make_people
    make_account vmnet-broker "$SYSTEM_BROKER_UID"
    make_account vmnet-netd "$SYSTEM_NETD_UID"
    make_account vmnet-uplink "$SYSTEM_UPLINK_UID"
    echo "vmnet:x:4200:alice,bob" >>/etc/group
}

as() { # NAME FUNCTION... -> `as alice ctl list`, `as bob start_guest db --network shared`
    local -x WORLD_UID
    WORLD_UID=$(id -u "$1")
    shift
    "$@"
}

# As root would start it on a machine without systemd; with $UNITS set, by its units, as far as
# that goes where systemd is not process 1.
start_system() { # OPTIONS...
    hear_notifications
    if [ -n "${UNITS:-}" ]; then
        BROKER_OPTIONS=("$@")
        start_units
    else
        NOTIFY_SOCKET=$WORLD/notify vmnet-broker --system "$@" >>"$SYSTEM_LOG" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    fi
    eventually 20 system_answers
}

# --- by units -------------------------------------------------------------------------

UNIT_DIR=/usr/local/lib/systemd/system
BROKER_OPTIONS=() # beside the unit's
ACTIVATORS=$WORLD/activators # a file for each socket that is listened on, with who does

setting() { # UNIT KEY
    sed -n "s/^$2=//p" "$UNIT_DIR/$1"
}

start_units() {
    [ ! -d "$ACTIVATORS" ] || return 0 # as systemd, they go on
    mkdir "$ACTIVATORS"
    systemd-tmpfiles --create vmnet-broker.conf
    mkdir -p /run/vmnet-broker
    activate vmnet-netd /run/vmnet-netd/netd.sock
    activate vmnet-broker /run/vmnet-broker/broker.sock "${BROKER_OPTIONS[@]}"
}

activate() { # UNIT SOCKET OPTION...
    local unit=$UNIT_DIR/$1
    python3 "$WORLD/scripts/activate.py" "$unit.socket" "$unit.service" "$WORLD/notify" "${@:3}" \
        >>"$SYSTEM_LOG" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    echo $! >"$ACTIVATORS/$1"
    eventually 20 test -S "$2"
}

hear_notifications() { # -> what services tell their manager, a line each, in the log `notify`
    [ ! -S "$WORLD/notify" ] || return 0
    python3 -uc 'import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1] + ".new")
os.chmod(sys.argv[1] + ".new", 0o666)
os.rename(sys.argv[1] + ".new", sys.argv[1]) # nobody finds it before it is as it should be
while True:
    print(s.recv(4096).decode().replace("\n", " "))' "$WORLD/notify" \
        >"$WORLD/log/notify" 2>&1 </dev/null 3>&- 4>&- 5>&- &
    eventually 20 test -S "$WORLD/notify"
}

stop_units() {
    [ -d "$ACTIVATORS" ] || return 0
    cat "$ACTIVATORS"/* | xargs kill
    rm -r "$ACTIVATORS"
    rm -f /run/vmnet-broker/broker.sock /run/vmnet-netd/netd.sock
}

system_answers() {
    vmnet-brokerctl --system list >/dev/null 2>&1
}

# Who holds a network has been told to go, and may need a moment for that. Where units listen,
# whoever asks an instance that is over to stop starts it first.
stop_system() {
    system_is_over || eventually 20 system_stopped
    eventually 20 system_is_over
    stop_units
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

vm_runs() { # USER -> one without a guest
    [ -n "$(processes_of "$(id -u "$1")" sleep)" ]
}

system_process() { # NAME -> pids of the instance's own; the world has a dnsmasq, too
    system_processes | sed -n "s/ $1\$//p"
}

# Whatever runs as one of the instance's users: "PID NAME" each, and "PID NAME (ending)".
system_processes() {
    local pid ending
    for pid in /proc/[0-9]*; do
        case $(stat -c %u "$pid" 2>/dev/null) in
        "$SYSTEM_BROKER_UID" | "$SYSTEM_NETD_UID" | "$SYSTEM_UPLINK_UID")
            has_not_ended "$pid" || continue
            ending=
            [ -e "$pid/exe" ] || ending=" (ending)"
            echo "${pid#/proc/} $(cat "$pid/comm" 2>/dev/null)$ending"
            ;;
        esac
    done
}

system_is_over() {
    is "$(system_processes)" ""
} 2>/dev/null

# After its end: no process, link, rule or file but what is meant to be remembered. The kernel may need
# a moment for the links of a namespace that has gone.
nothing_is_left_of_system() {
    system_is_over || {
        tail -n 60 "$SYSTEM_LOG"
        echo "still running: $(system_processes)" >&2
        return 1
    }
    eventually 20 no_trace_is_left_of_system 2>/dev/null || no_trace_is_left_of_system
}

no_trace_is_left_of_system() { # && as in nothing_is_left
    is "$(ip -o link | cut -d: -f2 | tr -d ' ' | sort | tr '\n' ' ')" "eth0@if2 lo " &&
        is "$(nft list ruleset)" "" &&
        is "$(find /run/vmnet-broker -mindepth 1)" "" &&
        no_name_is_left &&
        is "$(find /run/vmnet-netd -mindepth 1 ! -name netd.sock)" "" &&
        is "$(find /var/lib/vmnet-broker /var/lib/vmnet-netd -mindepth 1 ! -type d \
            ! -name memory.json ! -name '*.lock')" "" &&
        not grep -E -A 12 'runtime error:|Sanitizer:' "$SYSTEM_LOG"
}

# A name that led nowhere would have `ip -all netns exec` run its command twice elsewhere.
no_name_is_left() {
    [ -n "${UNITS:-}" ] || is "$(find /run/netns -name vmnet-broker)" "" # with units systemd's to remove
}

# Links, addresses, routes, rules, sysctls.
the_host() {
    "$WORLD/checkout/tests/snapshot" "$WORLD/checkout" /run/vmnet-broker | sed '/^## namespaces/,$d'
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
