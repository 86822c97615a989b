#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs vmnet-broker on a Mac (macOS 26 or later), or a newer one over it.
#
#   sudo ./install.sh [--force] [--build DIRECTORY]
#   ./install.sh --root DIRECTORY          only copies the files, below DIRECTORY, as anybody
#
# What goes where:
#   /opt/vmnet-broker/            programs, library, header, licence, entitlements, uninstall.sh
#   /usr/local/bin/vmnet-brokerctl                      a link
#   /Library/LaunchDaemons/com.github.nirs.vmnet-broker.plist
#   /Library/Logs/vmnet-broker/   the broker's log, its user's own
# and the user and group _vmnetbroker, whom the broker runs as.
#
# A broker that VMs depend on is not replaced: their networks would die with it. --force
# replaces it all the same.
set -euo pipefail

label=com.github.nirs.vmnet-broker
user=_vmnetbroker
prefix=/opt/vmnet-broker
daemons=/Library/LaunchDaemons
logs=/Library/Logs/vmnet-broker
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/meson-out root='' force=no

say() { echo "install: $*"; }
fail() { echo "install: $*" >&2; exit 1; }

usage() { sed -n 's/^# \{0,1\}//; 3,6p' "$0"; }

while [ $# -gt 0 ]; do
    case $1 in
    --force) force=yes ;;
    --build) build=${2:?--build wants a directory}; shift ;;
    --root) root=${2:?--root wants a directory}; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

check_mac() {
    [ "$(uname -s)" = Darwin ] || fail "this is not a Mac; --root DIRECTORY copies the files only"
    [ "$(id -u)" = 0 ] || fail "needs root: run it with sudo"
    local major
    major=$(sw_vers -productVersion | cut -d. -f1)
    [ "$major" -ge 26 ] || fail "needs macOS 26 or later: this is $(sw_vers -productVersion)"
}

check_files() {
    local file
    for file in vmnet-broker vmnet-brokerctl libvmnet-broker.1.dylib; do
        [ -e "$build/$file" ] || fail "$build/$file is missing: build first, or use --build"
    done
}

# The state of a job that launchd knows; nothing when it does not.
job_pid() { launchctl print "system/$label" 2>/dev/null | awk '$1 == "pid" { print $3 }'; }

# That it runs is all that launchd knows; who holds networks, the broker itself says.
refuse_if_in_use() {
    [ -n "$(job_pid)" ] || return 0
    local listed users
    if ! listed=$("$prefix/bin/vmnet-brokerctl" --json list 2>/dev/null); then
        [ "$force" = yes ] || fail "the running broker does not say who uses it: see" \
            "'vmnet-brokerctl list', or use --force"
        return 0
    fi
    users=$({ grep -o '"clients": [0-9]*' <<<"$listed" || true; } |
        awk '{ n += $2 } END { print n + 0 }')
    [ "$users" -gt 0 ] || return 0
    [ "$force" = yes ] || fail "$users clients use networks of the running broker, and would lose" \
        "them: stop these VMs first, or use --force ('vmnet-brokerctl status' shows them)"
    say "replacing a broker that $users clients use, as --force says"
}

stop_old() {
    launchctl print "system/$label" >/dev/null 2>&1 || return 0
    launchctl bootout "system/$label" || fail "the old broker cannot be stopped"
}

free_id() { # KIND (Users, Groups) KEY: the highest free one of those for services
    local id
    for id in $(seq 499 -1 300); do
        if [ -z "$(dscl . -search "/$1" "$2" "$id")" ]; then
            echo "$id"
            return
        fi
    done
    fail "no $2 between 300 and 499 is free"
}

make_user() {
    local gid uid
    if ! dscl . -read "/Groups/$user" >/dev/null 2>&1; then
        gid=$(free_id Groups PrimaryGroupID)
        dscl . -create "/Groups/$user"
        dscl . -create "/Groups/$user" PrimaryGroupID "$gid"
        dscl . -create "/Groups/$user" RealName "vmnet-broker"
        dscl . -create "/Groups/$user" Password "*"
    fi
    if ! dscl . -read "/Users/$user" >/dev/null 2>&1; then
        gid=$(dscl . -read "/Groups/$user" PrimaryGroupID | awk '{ print $2 }')
        uid=$(free_id Users UniqueID)
        dscl . -create "/Users/$user"
        dscl . -create "/Users/$user" UniqueID "$uid"
        dscl . -create "/Users/$user" PrimaryGroupID "$gid"
        dscl . -create "/Users/$user" RealName "vmnet-broker"
        dscl . -create "/Users/$user" UserShell /usr/bin/false
        dscl . -create "/Users/$user" NFSHomeDirectory /var/empty
        dscl . -create "/Users/$user" Password "*"
        dscl . -create "/Users/$user" IsHidden 1
    fi
}

put() { # MODE SOURCE DESTINATION: beside it first, so that a program is whole or the old one
    install -m "$1" "$2" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
}

copy_files() {
    mkdir -p "$root$prefix/bin" "$root$prefix/lib" "$root$prefix/include" "$root$prefix/share" \
        "$root$daemons" "$root$logs" "$root/usr/local/bin"
    put 755 "$build/vmnet-broker" "$prefix/bin/vmnet-broker"
    put 755 "$build/vmnet-brokerctl" "$prefix/bin/vmnet-brokerctl"
    put 755 "$build/libvmnet-broker.1.dylib" "$prefix/lib/libvmnet-broker.1.dylib"
    ln -sf libvmnet-broker.1.dylib "$root$prefix/lib/libvmnet-broker.dylib"
    put 644 "$here/../../include/vmnet-broker.h" "$prefix/include/vmnet-broker.h"
    put 644 "$here/../../LICENSE" "$prefix/share/LICENSE"
    put 644 "$here/vmnet-broker.entitlements" "$prefix/share/vmnet-broker.entitlements"
    put 755 "$here/uninstall.sh" "$prefix/share/uninstall.sh"
    put 644 "$here/$label.plist" "$daemons/$label.plist"
    ln -sf "$prefix/bin/vmnet-brokerctl" "$root/usr/local/bin/vmnet-brokerctl"
}

# Ad hoc, on this Mac: without the entitlement vmnet creates no network (status 1002).
sign() {
    codesign --force --sign - --identifier "$label" \
        --entitlements "$prefix/share/vmnet-broker.entitlements" "$prefix/bin/vmnet-broker"
    codesign --force --sign - "$prefix/bin/vmnet-brokerctl" "$prefix/lib/libvmnet-broker.1.dylib"
}

set_owners() {
    chown -R root:wheel "$prefix"
    chown root:wheel "$daemons/$label.plist"
    chown "$user:$user" "$logs"
    chmod 755 "$logs"
}

check_files
if [ -n "$root" ]; then
    copy_files
    say "copied to $root; nothing was signed or started"
    exit 0
fi
check_mac
refuse_if_in_use
make_user
copy_files # the running broker keeps its old file; the signature must be there before it starts
sign
stop_old
set_owners
launchctl bootstrap system "$daemons/$label.plist"
say "installed; the first client starts the broker. Its log: $logs/vmnet-broker.log"
