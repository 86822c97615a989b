#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Removes vmnet-broker from a Mac: all that install.sh made, the log and the user included.
#
#   sudo /opt/vmnet-broker/share/uninstall.sh [--force]
#   ./uninstall.sh --root DIRECTORY        only removes the files below DIRECTORY
#
# A broker that VMs depend on stays, unless --force.
set -euo pipefail

label=com.github.nirs.vmnet-broker
user=_vmnetbroker
prefix=/opt/vmnet-broker
root='' force=no

fail() { echo "uninstall: $*" >&2; exit 1; }
usage() { sed -n 's/^# \{0,1\}//; 3,6p' "$0"; }

while [ $# -gt 0 ]; do
    case $1 in
    --force) force=yes ;;
    --root) root=${2:?--root wants a directory}; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

# Nothing when launchd does not know it, or it does not run. Reads all that launchctl says: who
# stopped at the line would end it by SIGPIPE, and pipefail would take that for no such job.
job_pid() { launchctl print "system/$label" 2>/dev/null | awk '$1 == "pid" { print $3 }'; }

refuse_if_in_use() {
    [ "$force" != yes ] && [ -n "$(job_pid)" ] || return 0
    local listed users
    listed=$("$prefix/bin/vmnet-brokerctl" --json list 2>/dev/null) ||
        fail "the running broker does not say who uses it: see 'vmnet-brokerctl list', or --force"
    users=$({ grep -o '"clients": [0-9]*' <<<"$listed" || true; } |
        awk '{ n += $2 } END { print n + 0 }')
    [ "$users" -eq 0 ] ||
        fail "$users clients use networks of the running broker: stop these VMs first, or --force"
}

stop_job() {
    launchctl print "system/$label" >/dev/null 2>&1 || return 0
    launchctl bootout "system/$label"
}

remove_files() {
    local link=$root/usr/local/bin/vmnet-brokerctl
    if [ "$(readlink "$link")" = "$prefix/bin/vmnet-brokerctl" ]; then
        rm -f "$link" # and nobody else's command of that name
    fi
    rm -f "$root/Library/LaunchDaemons/$label.plist"
    rm -rf "$root/Library/Logs/vmnet-broker" "$root/opt/vmnet-broker"
}

remove_user() {
    if dscl . -read "/Users/$user" >/dev/null 2>&1; then dscl . -delete "/Users/$user"; fi
    if dscl . -read "/Groups/$user" >/dev/null 2>&1; then dscl . -delete "/Groups/$user"; fi
}

if [ -n "$root" ]; then
    remove_files
    exit 0
fi
[ "$(uname -s)" = Darwin ] || fail "this is not a Mac"
[ "$(id -u)" = 0 ] || fail "needs root: run it with sudo"
refuse_if_in_use
stop_job
remove_files
remove_user
echo "uninstall: done"
