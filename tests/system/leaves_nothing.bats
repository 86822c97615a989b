#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ./run is the first thing a newcomer tries: afterwards the machine is as it was. What stands
# for the machine is a world, where nothing else happens between two snapshots; the file systems
# that it shares with the real machine are read-only, so that nothing can be left there.
load lib

setup_file() {
    eventually 10 addresses_are_settled
}

snapshot() { # CHECKOUT
    "$WORLD/checkout/tests/snapshot" "$1" /tmp /run /dev/shm
}

on_read_only_disks() { # COMMAND...
    unshare --mount --propagation private bash -c \
        'for at in / /home /var /usr /root /opt /srv; do
            ! mountpoint -q "$at" || mount -o remount,bind,ro "$at"
        done
        ! touch /etc/not-so 2>/dev/null && exec "$@"' -- "$@"
}

same_before_and_after() { # CHECKOUT COMMAND...
    local checkout=$1
    shift
    snapshot "$checkout" >"$BATS_TEST_TMPDIR/before"
    "$@" || return
    snapshot "$checkout" >"$BATS_TEST_TMPDIR/after"
    diff -u "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "the snapshot notices a link, a process, a sysctl and a file" {
    local changed
    snapshot "$WORLD/checkout" >"$BATS_TEST_TMPDIR/before"
    ip link add left0 type bridge
    sleep 87654 3>&- &
    : >/tmp/left-file
    echo 1 >/proc/sys/net/ipv4/conf/eth0/forwarding
    changed=$(snapshot "$WORLD/checkout" | diff "$BATS_TEST_TMPDIR/before" - || true)
    kill $!
    rm /tmp/left-file
    ip link del left0
    echo 0 >/proc/sys/net/ipv4/conf/eth0/forwarding
    has "$changed" left0
    has "$changed" "sleep 87654"
    has "$changed" left-file
    has "$changed" net.ipv4.conf.eth0.forwarding
}

@test "./run as root shows its story and leaves the machine as it was" {
    [ "$(id -u)" = 0 ] || skip "optional: needs root"
    same_before_and_after "$WORLD/checkout" on_read_only_disks \
        timeout 300 "$WORLD/checkout/run" >"$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    }
    has "$(cat "$BATS_TEST_TMPDIR/output")" "3 packets received"
    has "$(cat "$BATS_TEST_TMPDIR/output")" "the internet has /hello"
}

@test "./run as an ordinary user, from a checkout of its own, does the same" {
    local clone=/tmp/clone
    mkdir "$clone"
    tar -C "$WORLD/checkout" --exclude=./build --exclude=./.git -cf - . | tar -C "$clone" -xf -
    mkdir -p "$clone/build/guest"
    cp -rp "$WORLD/checkout/build/guest/." "$clone/build/guest" # the kernel, for there is no archive here
    [ "$(id -u)" != 0 ] || chown -R "$WORLD_UID:$WORLD_UID" "$clone"
    export WITHIN=500
    export -f as_user user_shoes user_home
    # Named, the compiler is used without a cache, which would be the user's business.
    same_before_and_after "$clone" on_read_only_disks \
        bash -c 'as_user env CC=cc "$0"' "$clone/run" \
        >"$BATS_TEST_TMPDIR/output" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/output"
        return 1
    }
    has "$(cat "$BATS_TEST_TMPDIR/output")" "3 packets received"
    rm -rf "$clone"
}
