#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is installed for a system instance: units, users, directories. What the units then do is
# told by system_units.bats.
load lib

UNITS=/usr/local/lib/systemd/system

@test "units are well formed, and name programs and pages that are installed" {
    run systemd-analyze verify --man=no "$UNITS"/vmnet-{broker,netd}.{socket,service}
    is "$output" ""
    is "$status" 0
    while read -r page; do
        [ -e "/usr/local/share/man/man8/$page.8" ]
    done < <(sed -n 's/^Documentation=man:\(.*\)(8)$/\1/p' "$UNITS"/vmnet-*)
}

@test "the broker's exposure is at most 1.0, netd's at most 3.2" {
    systemd-analyze security --no-pager --offline=true --threshold=10 "$UNITS/vmnet-broker.service"
    systemd-analyze security --no-pager --offline=true --threshold=32 "$UNITS/vmnet-netd.service"
    not systemd-analyze security --no-pager --offline=true --threshold=9 "$UNITS/vmnet-broker.service"
}

@test "systemd-sysusers makes three users that cannot log in, and a group" {
    local root=$BATS_TEST_TMPDIR/root
    mkdir -p "$root/etc"
    echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
    echo "root:x:0:" >"$root/etc/group"
    mkdir -p "$root/usr/lib/sysusers.d"
    cp /usr/local/lib/sysusers.d/vmnet-broker.conf "$root/usr/lib/sysusers.d/"
    systemd-sysusers --root="$root"
    grep -E '^vmnet-broker:.*nologin$' "$root/etc/passwd"
    grep -E '^vmnet-netd:.*nologin$' "$root/etc/passwd"
    grep -E '^vmnet-uplink:.*nologin$' "$root/etc/passwd"
    grep -E '^vmnet:.*:vmnet-broker$' "$root/etc/group"
}

@test "systemd-tmpfiles makes netd's directory, and a place for the namespace's name" {
    [ "$(id -u)" = 0 ] || skip "optional: giving directories away needs root"
    local root=$BATS_TEST_TMPDIR/root
    mkdir -p "$root/etc"
    echo "vmnet-netd:x:4202:4202::/:/usr/sbin/nologin" >"$root/etc/passwd"
    echo "vmnet-netd:x:4202:" >"$root/etc/group"
    systemd-tmpfiles --root="$root" --create /usr/local/lib/tmpfiles.d/vmnet-broker.conf
    is "$(stat -c '%u:%g %a' "$root/run/vmnet-netd")" "4202:4202 755"
    is "$(find "$root/run/netns")" "$root/run/netns"
}

@test "nothing is enabled by being installed" {
    is "$(find /usr/local/lib/systemd /etc/systemd -name 'vmnet-*' -path '*.wants/*')" ""
}

@test "without its users the system instance does not start, and says how to make them" {
    [ "$(id -u)" = 0 ] || skip "optional: only root starts a system instance by itself"
    grep -v '^vmnet' /etc/passwd >"$BATS_TEST_TMPDIR/passwd"
    mount --bind "$BATS_TEST_TMPDIR/passwd" /etc/passwd
    run timeout 10 vmnet-broker --system
    is "$status" 1
    has "$output" "there is no user vmnet-broker: systemd-sysusers makes"
    umount /etc/passwd
    [ ! -e /run/vmnet-broker ]
}
