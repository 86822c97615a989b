# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# machine.bash - the words for a machine with a systemd of its own: `load lib`, `load system`, then
# `load machine`, by which ./test knows that such a file runs on one (tests/system/machine).

# shellcheck disable=SC2034 # the tests' own
SERVICES="vmnet-broker.service vmnet-netd.service"
SOCKETS="vmnet-broker.socket vmnet-netd.socket"
# shellcheck disable=SC2034 # system.bash takes them from here
SYSTEM_LOG=$WORLD/log/journal

on_a_machine() {
    [ -n "${MACHINE:-}" ] || {
        echo "this needs a systemd of its own: run it as ./test system/${BATS_TEST_FILENAME##*/}" >&2
        return 1
    }
}

# As docs/system.md tells an administrator to do it.
install_system() {
    systemd-sysusers && systemd-tmpfiles --create vmnet-broker.conf
    systemctl daemon-reload
    # shellcheck disable=SC2086 # two names
    systemctl enable --now $SOCKETS
    usermod -aG vmnet alice
    usermod -aG vmnet bob
    export SYSTEM_BROKER_UID SYSTEM_NETD_UID
    SYSTEM_BROKER_UID=$(id -u vmnet-broker) SYSTEM_NETD_UID=$(id -u vmnet-netd)
}

property() { # UNIT NAME
    systemctl show --property="$2" --value "$1"
}

main_pid() { # UNIT
    property "$1" MainPID
}

is_active() { # UNIT...
    systemctl is-active --quiet "$@"
}

journal_of() { # UNIT
    journalctl --unit="$1" --output=cat --no-pager
}

tell_what_happened_on_machine() {
    # shellcheck disable=SC2154 # bats's own
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        systemctl list-units --all --no-pager --no-legend 'vmnet-*' | sed 's/^/machine: /'
        journalctl --no-pager --output=short-precise | tail -n 40 | sed 's/^/machine: /'
    fi
    tell_what_happened
}
