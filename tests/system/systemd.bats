#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The system instance as it is installed: by the units, users and directories of packaging/, under a
# real systemd as process 1, which applies the units' whole sandbox. alice and bob are in group vmnet,
# carol is not. Guests: web is alice's, db is bob's; both are on `shared`, which leaves by the kernel.
# away is bob's on a network that leaves by pasta.
#
# The machine is booted four times; a test's tag says in which boot it runs. In the last three the
# sockets are listened on because they are enabled.
#
# What a machine in a container cannot show: that LimitNOFILE= is applied, where who runs the test may not
# raise limits and has a lower one; and what only another kernel has. All else of the units is applied here.
load lib
load system
load hosts
load machine

setup_file() {
    [ -z "${NO_MACHINE:-}" ] || return 0
    on_a_machine
    [ "$BOOT" = 1 ] || {
        know_users
        return
    }
    make_people
    mkdir /etc/vmnet-broker.d
    echo '{ "mode": "shared", "uplink": "user" }' >/etc/vmnet-broker.d/away.json
    eventually 10 addresses_are_settled
    the_host >"$WORLD/before"
    install_system
}

setup() { # in setup_file() it would be a failure
    [ -z "${NO_MACHINE:-}" ] || skip "optional: no machine of its own: $NO_MACHINE"
}

teardown() {
    [ -z "${NO_MACHINE:-}" ] || return 0
    tell_what_happened_on_machine
}

# --- installed ------------------------------------------------------------------------

both_sockets_are_there() { # [MODE of the broker's]
    is "$(stat -c '%U:%G %a' /run/vmnet-netd)" "vmnet-netd:vmnet-netd 755"
    is "$(stat -c '%U:%G %a' /run/vmnet-netd/netd.sock)" "vmnet-broker:vmnet-broker 600"
    is "$(stat -c '%U:%G %a' /run/vmnet-broker)" "root:root 755"
    is "$(stat -c '%U:%G %a' /run/vmnet-broker/broker.sock)" "root:vmnet ${1:-660}"
    is_active "${SOCKETS[@]}"
    is "$(systemctl is-active "${SERVICES[@]}" | tr '\n' ' ')" "inactive inactive "
    is "$(find /run/vmnet-broker /run/vmnet-netd -mindepth 1 ! -type s)" ""
}

# bats file_tags=boot:1
@test "three users, a group and netd's directory are made, and both sockets are listened on" {
    is "$(id -nG vmnet-broker)" "vmnet-broker vmnet"
    is "$(id -nG vmnet-netd)" "vmnet-netd"
    is "$(id -nG vmnet-uplink)" "vmnet-uplink"
    both_sockets_are_there
    [ ! -e /var/lib/vmnet-broker ] && [ ! -e /var/lib/vmnet-netd ]
}

@test "the first VM starts both services, which are up when they say so" {
    as alice start_guest web --network shared
    as bob start_guest db --network shared
    as bob start_guest away --network away
    eventually 10 is_active "${SERVICES[@]}"
    is "$(property vmnet-broker Type) $(property vmnet-netd Type)" "notify notify"
    eventually 20 has_said vmnet-broker "is ready, process $(main_pid vmnet-broker)"
    eventually 20 has_said vmnet-netd "serving on /run/vmnet-netd/netd.sock"
    wait_guests web db away
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

# --- what guests have, under the whole sandbox ----------------------------------------

identities() { # -> of network `shared` and of the VMs on it
    vmnet-brokerctl --system status --json |
        pick "[(n['status']['network']['ipv4_subnet'], n['status']['network']['ipv6_prefix'],
                sorted((i['name'], i['mac_address'], i['ipv4_address']) for i in n['interfaces']))
               for n in d['networks'] if n['status']['name'] == 'shared']"
    address_of web 6
}

@test "guests have addresses, each other by name, the host, and the internet by the kernel" {
    identities >"$WORLD/identities"
    in_guest web ping -c 1 -W 5 db.shared.vmnet.internal
    in_guest web ping -c 1 -W 5 host.vmnet.internal
    is "$(curl -s --max-time 5 "http://$(address_of db)/")" "a guest's page"
    eventually 15 uplink_is shared ok
    has "$(fetch web http://four.example.test/by-name)" "the internet has /by-name for 198.51.100.2"
    has "$(fetch web http://six.example.test/by-name)" "the internet has /by-name for 2001:db8:1::2"
    # The one engine is away's.
    is "$(engines | wc -l)" 1
}

@test "guests of a network that leaves by pasta have the internet, too" {
    eventually 15 uplink_is away ok
    has "$(fetch away http://four.example.test/by-pasta)" "the internet has /by-pasta for"
    has "$(fetch away http://six.example.test/by-pasta)" "the internet has /by-pasta for"
}

@test "ports of the host lead to guests, root's below 1024" {
    vmnet-brokerctl --system forward add shared 80:web:80
    as alice ctl forward add shared 8080:web:80
    is "$(curl -s --max-time 5 http://198.51.100.2:80/)" "a guest's page"
    is "$(curl -s --max-time 5 http://198.51.100.2:8080/)" "a guest's page"
    vmnet-brokerctl --system forward remove shared 80
    as alice ctl forward remove shared 8080
}

# --- what the services have -----------------------------------------------------------

directories_are_theirs() {
    local service
    for service in vmnet-broker vmnet-netd; do
        is "$(stat -c '%U:%G %a' /var/lib/$service)" "$service:$service 700"
        is "$(find /var/lib/$service ! -user $service)" ""
    done
    is "$(stat -c '%U:%G %a' /run/vmnet-broker /run/vmnet-netd | tr '\n' ' ')" \
        "root:root 755 vmnet-netd:vmnet-netd 755 "
}

may_read() { # USER FILE -> without a capability, with all groups of the user's
    setpriv --reuid "$1" --regid "$1" --init-groups --inh-caps=-all -- head -c 1 "$2" >/dev/null
}

@test "each has a state directory that nobody else can read, not even the other or who has VMs" {
    local broker=/var/lib/vmnet-broker/memory.json netd user
    netd=$(find /var/lib/vmnet-netd -type f -size +0 | head -n 1)
    directories_are_theirs
    may_read vmnet-broker "$broker"
    may_read vmnet-netd "$netd"
    for user in alice carol vmnet-uplink; do
        not may_read "$user" "$broker"
        not may_read "$user" "$netd"
    done
    not may_read vmnet-netd "$broker"
    not may_read vmnet-broker "$netd"
}

privileges() { # PID -> user, CapEff, CapPrm, CapBnd, CapAmb without leading zeros, NoNewPrivs, Seccomp
    local field
    stat --printf %U "/proc/$1"
    for field in CapEff CapPrm CapBnd CapAmb; do
        printf ' %x' "0x$(status_field "$1" $field)"
    done
    echo " $(status_field "$1" NoNewPrivs) $(status_field "$1" Seccomp)"
}

@test "each process is an unprivileged user with what it needs, and in its service's control group" {
    # 20 KILL, 40 SETGID, 80 SETUID, 400 NET_BIND_SERVICE, 1000 NET_ADMIN, 2000 NET_RAW; netd's and
    # dnsmasq's hold over the namespace only.
    is "$(privileges "$(main_pid vmnet-broker)")" "vmnet-broker 0 0 0 0 1 2"
    is "$(privileges "$(main_pid vmnet-netd)")" "vmnet-netd 3420 3420 3420 0 1 2"
    is "$(privileges "$(processes vmnet-hostside)")" "vmnet-netd 1000 1000 14c0 0 1 2"
    is "$(privileges "$(processes vmnet-spawner)")" "vmnet-netd 400 400 14c0 0 1 2"
    is "$(privileges "$(processes vmnet-anchor)")" "vmnet-uplink 0 0 0 0 1 2"
    is "$(status_field "$(engines)" Uid | cut -f 1)" "$(id -u vmnet-uplink)"
    is "$(processes_in vmnet-broker)" "vmnet-broker"
    eventually 10 processes_are_in vmnet-netd \
        "dnsmasq pasta vmnet-anchor vmnet-hostside vmnet-netd vmnet-relay vmnet-spawner"
}

processes_are_in() { # UNIT PROGRAMS -> no more: a forwarder that has nothing to do any more ends
    is "$(processes_in "$1")" "$2"
}

processes_in() { # UNIT -> the programs, each once
    local pid
    while read -r pid; do cat "/proc/$pid/comm"; done <"$(group_of "$1")/cgroup.procs" |
        sed "s/^pas.*/pasta/" | sort -u | tr '\n' ' ' | sed 's/ $//'
}

in_group_of() { # UNIT COMMAND... -> where the manager's filters for the unit hold
    (
        echo "$BASHPID" >"$(group_of "$1")/cgroup.procs"
        shift
        "$@"
    )
}

@test "a client is a descriptor: broker and netd may have many" {
    local files service
    files=$(ulimit -Hn)
    # 65536, but where nobody here may raise the limit.
    if [ "$files" = unlimited ] || [ "$files" -gt 65536 ] || can_raise_limits; then files=65536; fi
    for service in vmnet-broker vmnet-netd; do
        is "$(property $service LimitNOFILE) $(property $service LimitNOFILESoft)" "65536 65536"
        is "$(files_limit "$(main_pid $service)")" "$files"
    done
}

can_raise_limits() {
    setpriv --dump | grep -qE '^Effective capabilities: .*\bsys_resource\b'
}

files_limit() { # PID
    awk '/^Max open files/ { print $4 }' "/proc/$1/limits"
}

@test "root's ip netns finds the namespace of a service" {
    has "$(ip netns exec vmnet-broker ip -br link)" vb0
    has "$(ip netns list)" vmnet-broker
}

# What a process cannot do to itself, and as_unit.py has to leave out.
@test "the manager lets the broker send nothing, and netd have no device but the TAPs'" {
    curl -s --max-time 5 -o /dev/null http://203.0.113.80/
    in_group_of vmnet-netd curl -s --max-time 5 -o /dev/null http://203.0.113.80/
    not in_group_of vmnet-broker curl -s --max-time 5 -o /dev/null http://203.0.113.80/
    mknod "$BATS_TEST_TMPDIR/log" c 1 11
    head -c 0 "$BATS_TEST_TMPDIR/log"
    not in_group_of vmnet-netd head -c 0 "$BATS_TEST_TMPDIR/log"
    not in_group_of vmnet-broker head -c 0 "$BATS_TEST_TMPDIR/log"
    in_group_of vmnet-netd python3 -c 'open("/dev/net/tun", "r+b", 0)'
    not in_group_of vmnet-broker python3 -c 'open("/dev/net/tun", "r+b", 0)'
}

# --- stopped and killed under VMs -----------------------------------------------------

start_traffic() {
    start_pinging web 0.2 db
    in_guest db '(while echo tick; do sleep 0.3; done) | nc 203.0.113.80 7 >/tmp/echo 2>&1 &'
    eventually 10 ticks_are_more_than 0
}

ticks() { # -> how much of db's one connection has come back from the internet so far
    in_guest db 'grep -c tick /tmp/echo'
}

ticks_are_more_than() { # NUMBER
    [ "$(ticks)" -gt "$1" ]
} 2>/dev/null

# What nobody takes the place of: the namespace, who answers its guests, the host's links. (A
# new netd starts another engine, which knows nothing of the old one's connections anyway.)
kept() {
    processes vmnet-anchor
    processes dnsmasq | sort
    ip -o link show type veth | cut -d: -f1-2
}

all_is_served() {
    is "$(vmnet-brokerctl --system list --json | pick "[n['clients'] for n in d if n['name'] == 'shared']")" "[2]" &&
        has "$(in_guest web udhcpc -i eth0 -s /bin/true -n -q -f -t 2 -T 1 2>&1)" \
            "lease of $(address_of web) obtained" &&
        in_guest web ping -c 1 -W 5 host.vmnet.internal &&
        fetch web http://four.example.test/ && fetch away http://four.example.test/
} >/dev/null 2>&1

goes_on_through() { # COMMAND... -> VMs' traffic does, and afterwards all are served by the next one
    local before kept
    before=$(ticks) kept=$(kept)
    "$@"
    eventually 20 all_is_served
    eventually 10 ticks_are_more_than "$before"
    is "$(kept)" "$kept"
    directories_are_theirs
}

kill_main() { # SERVICE...
    local service killed=()
    for service; do killed+=("$(main_pid "$service")"); done
    kill -KILL "${killed[@]}"
    for service; do
        eventually 10 is_another "$service" "${killed[0]}"
        killed=("${killed[@]:1}")
    done
}

is_another() { # SERVICE PID
    is_active "$1" && [ "$(main_pid "$1")" != "$2" ]
}

@test "systemctl restart of either service: VMs' traffic runs on, and the next one adopts all" {
    start_traffic
    goes_on_through systemctl restart vmnet-broker
    goes_on_through systemctl restart vmnet-netd
    goes_on_through systemctl restart vmnet-broker vmnet-netd
}

@test "kill -9 of either service: the manager starts it again, and VMs do not notice" {
    goes_on_through kill_main vmnet-broker
    is "$(property vmnet-broker NRestarts)" 1
    goes_on_through kill_main vmnet-netd
    is "$(property vmnet-netd NRestarts)" 1
}

kill_many_times() {
    local left
    for ((left = 6; left > 0; left--)); do
        kill_main vmnet-netd vmnet-broker
    done
}

@test "kill -9 of both again and again, and of the host's side: the manager does not give up" {
    goes_on_through kill_many_times
    goes_on_through kill -KILL "$(processes vmnet-hostside)"
}

@test "stopped, they come back with the clients who hold networks" {
    goes_on_through systemctl stop vmnet-broker
    goes_on_through systemctl stop vmnet-netd
    goes_on_through systemctl stop vmnet-broker vmnet-netd
}

upgrade() {
    systemctl stop "${SOCKETS[@]}" "${SERVICES[@]}"
    ticks_are_more_than "$(ticks)" || eventually 10 ticks_are_more_than "$(ticks)"
    systemctl start "${SOCKETS[@]}"
}

@test "an upgrade stops sockets and services, and starts the sockets: VMs have all again" {
    goes_on_through upgrade
    is "$(processes_of 4101 vmnet-broker)" ""
}

# What `systemctl edit` makes, which needs a terminal.
drop_in() { # UNIT LINE...
    mkdir -p "/etc/systemd/system/$1.d"
    printf '%s\n' "${@:2}" >"/etc/systemd/system/$1.d/override.conf"
    systemctl daemon-reload
}

option_is_added() { # SERVICE OPTION...
    local service=$1.service
    drop_in "$service" '[Service]' ExecStart= "ExecStart=$(setting "$service" ExecStart) ${*:2}"
    systemctl restart "$service"
    eventually 10 is_active "$service"
    has "$(tr '\0' ' ' <"/proc/$(main_pid "$1")/cmdline")" "${*:2}"
}

no_option_is_added() { # SERVICE
    systemctl revert "$1.service"
    systemctl restart "$1.service"
    eventually 10 is_active "$1.service"
}

@test "the manager reads its units again, or is started anew itself: VMs do not notice" {
    local pids
    pids=$(main_pid vmnet-broker && main_pid vmnet-netd)
    goes_on_through systemctl daemon-reload
    goes_on_through systemctl daemon-reexec
    # There is nothing to reload: what the broker reads, it reads when it is asked.
    goes_on_through not systemctl reload vmnet-broker
    goes_on_through not systemctl reload vmnet-netd
    is "$(main_pid vmnet-broker && main_pid vmnet-netd)" "$pids"
}

@test "an administrator's drop-in changes a service's options under running VMs, and back" {
    goes_on_through option_is_added vmnet-broker --idle-timeout 300
    goes_on_through option_is_added vmnet-netd --idle-timeout 300
    goes_on_through no_option_is_added vmnet-broker
    goes_on_through no_option_is_added vmnet-netd
}

more_may_ask() {
    drop_in vmnet-broker.socket '[Socket]' SocketMode=0666
    systemctl restart vmnet-broker.socket
}

@test "who else may ask is a matter of the socket's unit, and changed under running VMs" {
    goes_on_through more_may_ask
    run as carol ctl run --network shared -- true
    is "$status" 125
    has "$output" "user 'carol' may not use it"
    mkdir /etc/vmnet-broker
    echo '{ "allow": { "users": ["carol"], "groups": ["vmnet"] } }' >/etc/vmnet-broker/policy.json
    as carol ctl --system run --network shared -- true
    rm -r /etc/vmnet-broker
}

@test "through all that no ping was lost" {
    is "$(pings_lost web)" 0
}

# --- the end --------------------------------------------------------------------------

@test "with no VM, stopping both leaves nothing in the host" {
    stop_guests web db away
    eventually 10 nobody_has_anything # else netd would leave all to the next one
    systemctl stop "${SOCKETS[@]}" "${SERVICES[@]}"
    eventually 10 system_is_over
    is "$(find /run/vmnet-broker /run/vmnet-netd -mindepth 1)" ""
    directories_are_theirs
    nothing_is_left_in_host
}

nobody_has_anything() {
    is "$(vmnet-brokerctl --system list --json |
        pick "sum(n['clients'] + n['interfaces'] for n in d)")" 0
} 2>/dev/null

nothing_is_left_in_host() {
    eventually 20 no_name_is_left
    the_host >"$WORLD/after"
    diff -u "$WORLD/before" "$WORLD/after"
}

leave_soon() {
    drop_in vmnet-broker.service '[Service]' ExecStart= \
        "ExecStart=$(setting vmnet-broker.service ExecStart) --idle-timeout 1"
}

both_have_left() {
    is "$(systemctl is-active "${SERVICES[@]}" "${SOCKETS[@]}" | tr '\n' ' ')" "inactive inactive active active "
} 2>/dev/null

@test "the services leave when nobody has used a network for the idle time, and come with the next client" {
    local round
    leave_soon
    systemctl start "${SOCKETS[@]}"
    for round in first second; do
        start_vm alice "$round"
        is_active "${SERVICES[@]}"
        kill "$(processes_of 4101 sleep)"
        eventually 20 both_have_left
        is "$(property vmnet-broker Result) $(property vmnet-netd Result)" "success success"
        eventually 20 system_is_over
        nothing_is_left_in_host
    done
}

start_vm() { # USER NAME
    as "$1" as_user_in_background "vm-$2" vmnet-brokerctl run --network shared --name "$2" -- sleep 600
    eventually 10 vm_is_there "$@"
    eventually 10 vm_runs "$1" # its interface comes first
}

vm_is_there() { # USER NAME
    has "$(as "$1" status_of shared "[i['name'] for i in n['interfaces']]")" "'$2'"
} 2>/dev/null

# All processes of both services at once, and then what alice has.
kill_and_come_back() { # SIGNAL
    local pid
    systemctl kill --signal="$1" "${SERVICES[@]}"
    for pid in $(processes_of 4101 sleep) $(processes_of 4101 vmnet-brokerctl); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    eventually 20 as bob ctl run --network shared -- true
    eventually 20 both_have_left
    eventually 20 system_is_over
    nothing_is_left_in_host
}

@test "systemctl kill, which is all processes of a service at once: the next start sweeps the host" {
    local signal
    for signal in KILL TERM; do
        start_vm alice last
        kill_and_come_back $signal
        # Without a VM netd removes all at SIGTERM, while who would do it in the host dies.
        as alice hold shared
        kill_and_come_back $signal
    done
}

@test "where netd's directory is not netd's, the log says how to make it so, and then all is well" {
    chown root:root /run/vmnet-netd
    as bob as_user_in_background refused vmnet-brokerctl run --network shared -- true
    eventually 10 has_said vmnet-netd "systemd-tmpfiles --create vmnet-broker.conf"
    systemd-tmpfiles --create vmnet-broker.conf
    eventually 20 as alice ctl run --network shared -- true
    eventually 20 both_have_left
}

@test "state that root has put back from a backup is the services' again at their start" {
    chown -R root:root /var/lib/vmnet-broker /var/lib/vmnet-netd
    chmod 755 /var/lib/vmnet-broker /var/lib/vmnet-netd
    as alice ctl run --network shared -- true
    directories_are_theirs
    eventually 20 both_have_left
}

log_is_clean() {
    not grep -E 'libcap-ng|runtime error:|Sanitizer:' <<<"$(journalctl --no-pager)"
}

@test "the log has nothing of libraries and sanitizers, and then the machine is shut down under a VM" {
    start_vm alice web
    log_is_clean
    boot_again_after shutdown
}

# --- booted again ---------------------------------------------------------------------

# The first client starts the services. web is a real guest again, db this time is not.
all_is_as_before_the_boot() {
    as alice start_guest web --network shared
    eventually 10 is_active "${SERVICES[@]}"
    start_vm bob db
    wait_guests web
    is "$(identities)" "$(cat "$WORLD/identities")"
    in_guest web ping -c 1 -W 5 host.vmnet.internal
    eventually 15 uplink_is shared ok
    has "$(fetch web http://four.example.test/again)" "the internet has /again for 198.51.100.2"
    has "$(tr '\0' ' ' <"/proc/$(main_pid vmnet-broker)/cmdline")" "--idle-timeout 1"
    directories_are_theirs
    is "$(property vmnet-broker NRestarts) $(property vmnet-netd NRestarts)" "0 0"
    log_is_clean
}

# bats file_tags=boot:2
@test "after a shutdown both sockets are listened on, and nothing else of ours is there" {
    both_sockets_are_there 666
    system_is_over
}

@test "the first client has its network, and VMs are who they were; then power fails" {
    all_is_as_before_the_boot
    boot_again_after power_cut
}

# bats file_tags=boot:3
@test "after a power failure both sockets are listened on, and nothing else of ours is there" {
    both_sockets_are_there 666
    system_is_over
}

@test "the first client has its network, and VMs are who they were; then the container is killed" {
    all_is_as_before_the_boot
    boot_again_after kill
}

# bats file_tags=boot:4
@test "after a container's end, which is no kernel's, the same" {
    both_sockets_are_there 666
    system_is_over
    all_is_as_before_the_boot
}

@test "and at the end nothing is left in the host" {
    stop_guests web
    for pid in $(processes_of 4102 vmnet-brokerctl); do kill "$pid"; done
    eventually 20 both_have_left
    eventually 20 system_is_over
    nothing_is_left_in_host
}
