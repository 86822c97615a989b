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

refuse_if_in_use() {
    launchctl print "system/$label" 2>/dev/null | grep -q '^[[:space:]]*pid = ' || return 0
    local users=''
    users=$("$prefix/bin/vmnet-brokerctl" --json list 2>/dev/null |
        grep -o '"clients": [0-9]*' | awk '{ n += $2 } END { print n + 0 }')
    [ "${users:-0}" -eq 0 ] || [ "$force" = yes ] ||
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
