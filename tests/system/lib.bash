# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# lib.bash - the words in which the system tests are written. Each file begins with
# `load lib` and runs inside a world of its own (`./test system/NAME.bats` sees to that).

bats_require_minimum_version 1.5.0
: "${WORLD:=/nowhere}"
# shellcheck source=tests/system/world.bash
. "$BATS_TEST_DIRNAME/world.bash"
in_world || {
    echo "this changes networks: run it as ./test system/${BATS_TEST_FILENAME##*/}" >&2
    exit 1
}
export GUEST_DIR=$WORLD/guests GUEST_IMAGE=$WORLD/image
GUEST=$WORLD/checkout/tests/guests/guest

# --- saying ---------------------------------------------------------------------------

eventually() { # SECONDS COMMAND... -> succeeds as soon as COMMAND does
    local deadline=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || {
            echo "not within its time: $*" >&2
            return 1
        }
        sleep 0.1
    done
}

not() { # COMMAND... -> bats does not notice a failing `! command`
    if "$@"; then
        echo "should have failed: $*" >&2
        return 1
    fi
}

is() { # GOT WANTED
    [ "$1" = "$2" ] || {
        printf 'got    <%s>\nwanted <%s>\n' "$1" "$2" >&2
        return 1
    }
}

has() { # TEXT PATTERN -> the glob pattern is somewhere in the text
    # shellcheck disable=SC2053 # a pattern, on purpose
    [[ $1 == *$2* ]] || {
        printf '<%s>\nhas no <%s>\n' "$1" "$2" >&2
        return 1
    }
}

pick() { # EXPRESSION -> a Python expression about `d`, the JSON on standard input
    python3 -c 'import json, sys
d = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$1"
}

# --- the broker and its clients -------------------------------------------------------

ctl() {
    as_user vmnet-brokerctl "$@"
}

status_of() { # NETWORK EXPRESSION -> about the network's NetworkDetails, as `n`
    ctl status --json | pick "[$2 for n in d['networks'] if n['status']['name'] == '$1'][0]"
}

network_exists() { # NETWORK
    ctl list --json | pick "'$1' in [n['name'] for n in d]" | grep -q True
}

start_broker() { # OPTIONS... -> by hand, where a test needs other timeouts
    as_user vmnet-broker --user --background "$@"
}

network_is_ready() { # NETWORK -> built, and somebody has it
    ctl list --json | pick "'$1' in [n['name'] for n in d if n['state'] == 'ready']" | grep -q True
}

hold() { # NETWORK -> a client that holds it until it is killed
    as_user_in_background "hold-$1" vmnet-brokerctl acquire "$1"
    eventually 20 network_is_ready "$1"
}

processes() { # NAME -> pids of the programs of that name that are still running
    local pid
    for pid in /proc/[0-9]*; do
        [ "$(cat "$pid/comm" 2>/dev/null)" != "$1" ] || ! [ -e "$pid/exe" ] || echo "${pid#/proc/}"
    done
}

running() { # NAME
    [ -n "$(processes "$1")" ]
}

broker_pid() {
    processes vmnet-broker
}

# What will wake processes of ours though nothing happens (alarms.py): all that, and no more.
alarms_are() { # PATTERN
    local alarms
    alarms=$(python3 "$WORLD/scripts/alarms.py" vmnet-) || return
    # shellcheck disable=SC2053 # a pattern, on purpose
    [[ $alarms == $1 ]] || {
        printf 'alarms <%s>\nwanted <%s>\n' "$alarms" "$1" >&2
        return 1
    }
}

# Who holds a network has been told to go, and may need a moment for that.
stop_everything() {
    eventually 20 stopped &&
        eventually 20 nothing_runs
}

stopped() {
    ctl stop || not running vmnet-broker
}

nothing_runs() {
    not running vmnet-broker && not running vmnet-netd && not running vmnet-anchor &&
        is "$(ours)" ""
} 2>/dev/null

# One that is ending has no program any more, and for a while what it had open: a tenth of a second for
# each TAP, and sockets, locks and namespaces as long as those. One that nobody has waited for has
# nothing.
has_not_ended() { # /proc/PID
    local stat
    { read -r stat <"$1/stat"; } 2>/dev/null && [[ ${stat##*) } != [ZX]* ]]
}

# Processes of the ordinary user, but for us who ask: "PID PROGRAM" each. Where we are that
# user ourselves, those that could be the broker's or a guest.
ours() {
    local pid exe
    for pid in /proc/[0-9]*; do
        [ "$(stat -c %u "$pid" 2>/dev/null)" = "$WORLD_UID" ] || continue
        has_not_ended "$pid" || continue
        exe=$(readlink "$pid/exe") || exe="(ending)"
        if [ "$WORLD_UID" = "$(id -u)" ]; then
            [[ $exe =~ /(vmnet-|pasta|passt|slirp4netns|qemu-|sleep) ]] || continue
        fi
        echo "${pid#/proc/} $exe"
    done
}

# Each by its number, and until they stay dead: netd sees to it that others come back, and whoever
# holds a network that a broker does.
all_are_killed() {
    local line
    while read -r line; do
        kill -KILL "${line%% *}" 2>/dev/null || true
    done < <(ours)
    nothing_runs
}

# For teardown(): whatever a test left running is dead, what it mounted there is gone, and the next
# one is told nothing.
all_is_forgotten() { # [DIRECTORY]
    eventually 20 all_are_killed &&
        { [ $# = 0 ] || ! mountpoint -q "$1" || umount -l "$1"; } &&
        rm -rf "/run/user/$WORLD_UID/vmnet-broker" "$(user_home)/.local"
}

# What the host looks like once everything is over: nothing of ours runs, no link was left,
# no socket, and in the state directory only what is meant to be remembered. With && from one check
# to the next, as in everything that teardown_file() ends with and that `eventually` asks: bash sees
# a condition there, and in a condition goes on after a failure.
nothing_is_left() {
    nothing_runs || {
        echo "still running: $(ours)" >&2
        return 1
    }
    is "$(ip -o link | cut -d: -f2 | tr -d ' ' | sort | tr '\n' ' ')" "eth0@if2 lo " &&
        is "$(find "/run/user/$WORLD_UID" -mindepth 1 ! -type d)" "" &&
        is "$(find "$(user_home)/.local/state" -mindepth 1 ! -type d \
            ! -name memory.json ! -name '*.log' ! -name '*.lock')" "" &&
        sanitizers_are_silent &&
        is "$(find /tmp -mindepth 1 -maxdepth 1 -user "$WORLD_UID" -name '*vmnet*')" ""
}

# In an ordinary build there is nothing to find. A leak ends no process, so that its report in
# a log is all there is.
sanitizers_are_silent() {
    not grep -rE -A 12 'runtime error:|Sanitizer:' "$(user_home)/.local/state" "$WORLD/log"
}

# --- the host's cables ----------------------------------------------------------------

# The kernel gives a link its own address a moment after it is up, and confirms it in a second.
addresses_are_settled() {
    ip -6 addr show dev eth0 scope link -tentative | grep -q inet6 &&
        is "$(ip -6 addr show tentative)" ""
} 2>/dev/null

# A second one, eth1. The host's routes prefer eth0.
plug_in() {
    ip link add eth1 type veth peer name inet1 netns internet
    on_internet ip addr add 198.51.101.1/24 dev inet1
    on_internet ip addr add 2001:db8:2::1/64 dev inet1 nodad
    on_internet ip link set inet1 up
    ip addr add 198.51.101.2/24 dev eth1
    ip addr add 2001:db8:2::2/64 dev eth1 nodad
    ip link set eth1 up
    ip route add default via 198.51.101.1 dev eth1 metric 5000
    ip -6 route add default via 2001:db8:2::1 dev eth1 metric 5000
}

# --- guests ---------------------------------------------------------------------------

start_guest() { # NAME RUN-OPTION... -> as a user would; wait_guests says when it is up
    local name=$1 command
    shift
    mapfile -t command < <("$GUEST" command "$name" --nic 'fd={fd}/{mac}')
    as_user_in_background "guest-$name" \
        vmnet-brokerctl run "$@" --name "$name" -- "${command[@]}"
}

wait_guests() { # NAME... -> each has an IPv4 and an IPv6 address
    local name
    for name; do
        "$GUEST" wait "$name" --ipv6 --timeout 180 || {
            cat "$WORLD/log/guest-$name" >&2
            return 1
        }
    done
}

in_guest() { # NAME SCRIPT
    "$GUEST" exec "$@"
}

# busybox's own -T ends in a segmentation fault here, which `not fetch` would take for a
# refused connection: so timeout, and what a negative test forbids is shown to work elsewhere.
fetch() { # GUEST URL
    in_guest "$1" "timeout 4 wget -q -O - '$2'"
}

stop_guests() { # NAME...
    local name
    for name; do "$GUEST" stop "$name"; done
}

address_of() { # GUEST [6] -> its global address
    in_guest "$1" "ip -${2:-4} -o addr show dev eth0 scope global" |
        sed -n 's,.* inet6\? \([^/ ]*\)/.*,\1,p' | head -n 1
}

start_pinging() { # GUEST INTERVAL HOST -> in the background, until pings_lost is asked
    in_guest "$1" "ping -i $2 $3 >/tmp/ping 2>&1 & echo \$! >/tmp/ping.pid"
}

# Of those before the last answer: later ones may be on their way.
pings_lost() { # GUEST -> how many
    in_guest "$1" 'kill -INT "$(cat /tmp/ping.pid)"
        until grep "packets transmitted" /tmp/ping; do sleep 0.1; done' >&2
    in_guest "$1" "sed -n 's/.* seq=\\([0-9]*\\) .*/\\1/p' /tmp/ping" | sort -nu |
        awk '{ last = $1 } END { print (NR ? last + 1 - NR : "all") }'
}

# The log of whoever was involved, when a test fails: bats prints a failed setup's and
# test's output, and nobody can look into a world that is gone.
tell_what_happened() {
    local f
    # shellcheck disable=SC2154 # bats's own
    [ -z "${BATS_TEST_COMPLETED:-}" ] || return 0
    for f in "$(user_home)"/.local/state/vmnet-broker/*.log "$WORLD"/log/guest-*; do
        [ -s "$f" ] && sed "s|^|${f##*/}: |" "$f" | tail -n 15
    done
    return 0
}
