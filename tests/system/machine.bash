# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# machine.bash - the words for a machine with a systemd of its own: `load lib`, `load system`, then
# `load machine`, by which ./test knows that such a file runs on one (tests/system/machine).

# shellcheck disable=SC2034 # the tests' own
SERVICES=(vmnet-broker.service vmnet-netd.service)
SOCKETS=(vmnet-broker.socket vmnet-netd.socket)
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
    systemctl enable --now "${SOCKETS[@]}"
    usermod -aG vmnet alice
    usermod -aG vmnet bob
    know_users
}

know_users() {
    export SYSTEM_BROKER_UID SYSTEM_NETD_UID SYSTEM_UPLINK_UID
    SYSTEM_BROKER_UID=$(id -u vmnet-broker) SYSTEM_NETD_UID=$(id -u vmnet-netd)
    SYSTEM_UPLINK_UID=$(id -u vmnet-uplink)
}

# Once the tests of this boot are over, those with the tag of the next are run after another one.
boot_again_after() { # shutdown, power_cut or kill
    echo "$1" >"$WORLD/boot-again"
}

is_active() { # UNIT... -> all of them
    local unit
    for unit; do systemctl is-active --quiet "$unit" || return; done
}

# --- of a service, by its name ----------------------------------------------------------

property() { # SERVICE NAME
    systemctl show --property="$2" --value "$1.service"
}

main_pid() { # SERVICE -> nothing while it does not run
    property "$1" MainPID | grep -vx 0
}

group_of() { # SERVICE -> its control group's directory
    echo "/sys/fs/cgroup$(property "$1" ControlGroup)"
}

has_said() { # SERVICE WORDS
    journalctl --unit="$1.service" --output=cat --no-pager | grep -qF -- "$2"
}

tell_what_happened_on_machine() {
    # shellcheck disable=SC2154 # bats's own
    if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
        systemctl list-units --all --no-pager --no-legend 'vmnet-*' | sed 's/^/machine: /'
        journalctl --no-pager --output=short-precise | tail -n 40 | sed 's/^/machine: /'
    fi
    tell_what_happened
}
