#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The system instance as it is installed: by the units, users and directories of packaging/, under a
# real systemd as process 1, which applies the units' whole sandbox. alice and bob are in group vmnet,
# carol is not. Guests: web is alice's, db is bob's.
load lib
load system
load machine

setup_file() {
    [ "$(id -u)" = 0 ] || skip "optional: a machine of its own needs root"
    on_a_machine
    private_files
    make_people
    eventually 10 addresses_are_settled
    the_host >"$BATS_FILE_TMPDIR/before"
    install_system
}

teardown() {
    tell_what_happened_on_machine
}

# --- installed ------------------------------------------------------------------------

@test "two users, a group and netd's directory are made, and both sockets are listened on" {
    is "$(id -nG vmnet-broker)" "vmnet-broker vmnet"
    is "$(id -nG vmnet-netd)" "vmnet-netd"
    is "$(stat -c '%U:%G %a' /run/vmnet-netd)" "vmnet-netd:vmnet-netd 755"
    is "$(stat -c '%U:%G %a' /run/vmnet-netd/netd.sock)" "vmnet-broker:vmnet-broker 600"
    is "$(stat -c '%U:%G %a' /run/vmnet-broker)" "root:root 755"
    is "$(stat -c '%U:%G %a' /run/vmnet-broker/broker.sock)" "root:vmnet 660"
    # shellcheck disable=SC2086 # two names each
    is_active $SOCKETS && not is_active $SERVICES
}

@test "the first VM starts both services, which are up when they say so" {
    as alice start_guest web --network shared
    as bob start_guest db --network shared
    # shellcheck disable=SC2086 # two names
    eventually 10 is_active $SERVICES
    is "$(property vmnet-broker.service Type) $(property vmnet-netd.service Type)" "notify notify"
    has "$(journal_of vmnet-broker.service)" "is ready*Started vmnet-broker.service"
    has "$(journal_of vmnet-netd.service)" "Started vmnet-netd.service"
    wait_guests web db
}

@test "who is not in the group is told so once, and uses an instance of their own" {
    run --separate-stderr as carol ctl run --network shared -- true
    is "$status" 0
    # shellcheck disable=SC2154 # bats's own
    is "$(grep -c "the system's broker is not available to you" <<<"$stderr")" 1
    has "$stderr" "usermod -aG vmnet carol"
    [ -n "$(processes_of 4103 vmnet-broker)" ]
    as carol ctl --user stop
}
