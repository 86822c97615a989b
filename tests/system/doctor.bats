#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# doctor names what is missing or forbidden, and the remedy. Each machine with something
# missing is a mount namespace in which it is.
load lib

# A machine on which one thing is otherwise. The changes die with the subshell.
without() { # SETUP-SCRIPT
    run unshare --mount --propagation private bash -c \
        "set -e; . '$BATS_TEST_DIRNAME/world.bash'; $1
         as_user vmnet-brokerctl doctor"
    echo "$output"
}

setup() {
    [ "$(id -u)" = 0 ] || skip "optional: breaking a machine needs root"
}

@test "on a machine that has everything doctor finds nothing to mend" {
    run ctl doctor
    echo "$output"
    is "$status" 0
}

@test "doctor names dnsmasq when it is missing, and its package" {
    without 'mount --bind /dev/null /usr/sbin/dnsmasq'
    not is "$status" 0 2>/dev/null
    has "$output" dnsmasq-base
}

@test "doctor names the uplink engines when both are missing" {
    without 'for f in pasta passt slirp4netns pasta.avx2 passt.avx2; do
        [ ! -e /usr/bin/$f ] || mount --bind /dev/null "$(realpath /usr/bin/$f)"; done'
    not is "$status" 0 2>/dev/null
    has "$output" passt
}

@test "doctor says so when /dev/net/tun may not be opened" {
    without 'chmod 600 /dev/net/tun'
    chmod 666 /dev/net/tun
    not is "$status" 0 2>/dev/null
    has "$output" /dev/net/tun
}

@test "doctor says so when user namespaces are forbidden" {
    # A user namespace of its own has a limit of its own.
    run as_user unshare --user --map-current-user --keep-caps bash -c \
        'echo 0 >/proc/sys/user/max_user_namespaces &&
         exec setpriv --inh-caps=-all --ambient-caps=-all vmnet-brokerctl doctor'
    echo "$output"
    not is "$status" 0 2>/dev/null
    has "$output" "user namespace"
}
