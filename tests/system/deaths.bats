#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whatever of ours dies, hangs or finds its disk full: running guests keep their network, and
# when all is done nothing is left. Two real guests begin; then deaths.py tells its stories with
# guests that are small processes, and its beginning says what must hold. To repeat what failed
# with the seed that it told: bench/soak DEATHS SEED.
load lib

setup_file() {
    namespaces >"$BATS_FILE_TMPDIR/namespaces"
}

teardown() {
    tell_what_happened
    all_is_forgotten "$(user_home)/.local/state"
}

# Those that some process is in, or holds open.
namespaces() {
    find /proc/[0-9]*/ns/{net,user,mnt} /proc/[0-9]*/fd/ -lname '*:\[*' -printf '%l\n' 2>/dev/null |
        grep -E '^(net|user|mnt):' | sort -u
}

nothing_of_the_story_is_left() {
    nothing_is_left
    is "$(namespaces)" "$(cat "$BATS_FILE_TMPDIR/namespaces")"
    is "$(nft list ruleset)" ""
}

# A broker and a netd that speak a later version of the messages between them.
later_version() {
    local name
    mkdir -p "$WORLD/later"
    for name in broker netd; do
        install -m 755 "$WORLD/checkout/build/meson-out/later-$name" "$WORLD/later/vmnet-$name"
    done
    echo "$WORLD/later"
}

story() { # STORY OPTION... -> what it measured is shown, whether or not all went well
    local out=$BATS_TEST_TMPDIR/story status=0
    WITHIN=400 as_user env LATER="${LATER:-}" python3 "$WORLD/scripts/deaths.py" "$@" >"$out" 2>&1 || status=$?
    cat "$out"
    grep -E '^ +(seed|longest|all of them|[0-9]+ deaths)' "$out" | sed 's/^/# /' >&3 || true
    [ "$status" = 0 ] || return "$status"
    nothing_of_the_story_is_left
}

# The state directory on a file system of its own, of this many KiB.
small_state() {
    local state
    state=$(user_home)/.local/state
    install -d -m 700 "$(user_home)/.local" "$state"
    [ "$(id -u)" != 0 ] || chown "$WORLD_UID:$WORLD_UID" "$(user_home)/.local"
    mount -t tmpfs -o "size=$1k,mode=0700,uid=$WORLD_UID,gid=$WORLD_UID" state "$state"
}

# --- with real guests -----------------------------------------------------------------

# Every process that the network of two guests needs.
part() { # NAME -> its pid
    case $1 in
    engine) ours | grep -E '/(pasta|passt|slirp4netns)[^/]*$' ;;
    dnsmasq) ours | grep '/dnsmasq$' ;;
    *) processes "vmnet-$1" ;;
    esac | cut -d' ' -f1
}

is_killed() { # NAME -> once it is there: the next netd may just be coming
    local pids
    pids=$(part "$1") && [ -n "$pids" ] || return
    # shellcheck disable=SC2086 # one or several
    kill -KILL $pids
}

identity() { # all by which the two are known
    local name
    for name in web db; do
        echo "$name $(address_of $name) $(address_of $name 6)" \
            "$(in_guest $name cat /sys/class/net/eth0/address)" \
            "$(status_of shared "[(i['mac_address'], i['ipv4_address']) for i in n['interfaces']
                if i['name'] == '$name']")" \
            "$(in_guest web "nslookup -type=a $name.shared.vmnet.internal" | tail -n 2)"
    done
}

identity_is() { # WANTED
    is "$(identity)" "$1"
}

two_hold_it() {
    is "$(status_of shared "n['status']['clients']")" 2
} 2>/dev/null

# A lease, the network's names, outside names, the outside.
web_is_served() {
    has "$(in_guest web udhcpc -i eth0 -s /bin/true -n -q -f -t 2 -T 1 2>&1)" \
        "lease of $(address_of web) obtained" &&
        in_guest web "nslookup -type=a db.shared.vmnet.internal" | grep -q 192.168 &&
        is "$(fetch web http://four.example.test/on)" "the internet has /on for 198.51.100.2"
} 2>/dev/null

@test "a ping between two guests runs through kill -9 of all parts of us; then they are who they were" {
    local before kind
    start_guest web --network shared
    start_guest db --network shared
    wait_guests web db
    before=$(identity)
    start_pinging web 0.1 db
    for kind in relay dnsmasq engine anchor spawner netd starter broker; do
        eventually 10 is_killed $kind
        echo "$kind killed"
        eventually 20 web_is_served
    done
    # Who holds the network has asked for a broker, and holds it again.
    eventually 10 two_hold_it
    eventually 10 identity_is "$before"
    is "$(pings_lost web)" 0
    stop_guests web db
    stop_everything
    nothing_of_the_story_is_left
}

# --- with many deaths -----------------------------------------------------------------

@test "200 deaths, alone and in pairs, at random moments: two guests do not notice" {
    story random --deaths 200 --seconds 300
}

@test "netd dies 30 times, each next one adopts, and of 500 pings a second none is lost" {
    story random --kinds netd --deaths 30 --rest 0 --pings 500
}

@test "a netd that hangs is named in status and stops nobody; any other part that hangs is replaced" {
    story stopped
}

@test "the process group of the first VM is killed" {
    story group
}

@test "all of us are killed at once: guests keep each other, and a new network is apart from theirs" {
    story everything
}

@test "the runtime directory is removed, then whoever had a socket in it dies" {
    story runtime --pause 2
}

@test "broker, netd and spawner refuse with words at their limits, and go on when there is room" {
    story limits
}

@test "a copy of the journal is cut anywhere, while nobody runs who knows what it said" {
    story journal --cuts 12
}

@test "the disk of the state directory is full: what runs goes on, and what dies comes back" {
    small_state 600
    story full
}

@test "the state directory is read-only for a while" {
    story readonly
}

@test "other versions of broker and netd take over while guests run, or say what to do" {
    LATER=$(later_version)
    story upgrade
}
