#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Definitions by the command line: written, shown, taken away, and noticed by a broker.
load lib

setup_file() {
    hold shared
}

teardown() {
    tell_what_happened
}

teardown_file() {
    local pid
    for pid in $(processes vmnet-brokerctl); do kill "$pid"; done
    stop_everything
    nothing_is_left
}

define() { # NAME JSON [OPTION...] -> as a user would
    local name=$1 json=$2
    shift 2
    as_user sh -c 'name=$1 json=$2; shift 2; echo "$json" | vmnet-brokerctl add "$@" "$name"' \
        define "$name" "$json" "$@"
}

definition_of() { # NAME EXPRESSION -> about its `show`, as `d`
    ctl show --json "$1" | pick "d['definition']$2"
}

@test "a network that was added can be acquired at once, as it was defined" {
    define lab '{"mode": "host", "subnet": "10.7.7.1", "mtu": 1400, "description": "mine"}'
    hold lab
    is "$(status_of lab "n['status']['network']['ipv4_subnet']")" 10.7.7.0/24
    is "$(status_of lab "n['status']['network']['mtu']")" 1400
    is "$(status_of lab "n['description']")" mine
    has "$(status_of lab "n['definition']")" "/vmnet-broker.d/lab.json"
}

@test "show gives every key with the value that counts, and as JSON a definition again" {
    is "$(definition_of lab "['mtu']")" 1400
    is "$(definition_of lab "['anti_spoofing']")" strict
    ctl show --json lab | pick "__import__('json').dumps(d['definition'])" >"$BATS_TEST_TMPDIR/again"
    define again "$(sed 's/10\.7\.7\./10.7.8./' "$BATS_TEST_TMPDIR/again")"
    is "$(definition_of again "['mtu']")" 1400
    has "$(ctl show)" "again"
    has "$(ctl show)" "built in"
    ctl remove again
}

@test "what is wrong with a definition is said with its place, and nothing is written" {
    run define bad '{"mode": "host", "mty": 1400}'
    [ "$status" != 0 ]
    has "$output" 'bad.json:1:'
    has "$output" 'did you mean "mtu"'
    run ctl show bad
    [ "$status" != 0 ]
    run ctl acquire bad -- true
    [ "$status" != 0 ]
    has "$output" "no network 'bad' is defined"
}

@test "an existing definition is replaced only when that is said" {
    run define lab '{"mode": "host"}'
    [ "$status" != 0 ]
    has "$output" "--replace"
    is "$(definition_of lab "['mtu']")" 1400
}

pending() {
    is "$(status_of lab "','.join(n['pending'])")" "$1"
}

@test "a change is applied where it can be, and pending where not" {
    define lab '{"mode": "host", "subnet": "10.7.7.1", "mtu": 1300, "description": "new"}' --replace
    eventually 20 pending mtu
    is "$(status_of lab "n['description']")" new
    is "$(status_of lab "n['status']['network']['mtu']")" 1400
    define lab '{"mode": "host", "subnet": "10.7.7.1", "mtu": 1400}' --replace
    eventually 20 pending ""
}

@test "monitor tells of clients and of definitions that change or break" {
    local seen=$BATS_TEST_TMPDIR/seen
    as_user_in_background monitor vmnet-brokerctl monitor --json
    local monitor=$!
    eventually 10 it_watches
    ctl acquire host -- true
    define lab '{"mode": "host", "subnet": "10.7.7.1", "mtu": 1350}' --replace
    eventually 20 pending mtu
    eventually 20 grep -q definition_changed "$WORLD/log/monitor"
    kill "$monitor" || true
    pick "[e['what'] + ' ' + str(e.get('network'))
        for e in map(__import__('json').loads, open('$WORLD/log/monitor'))]" <<<0 >"$seen"
    has "$(cat "$seen")" "'network_created host'*'client_came host'*'client_left host'"
    has "$(cat "$seen")" "'definition_changed lab'"
}

it_watches() { # the monitor, which has heard of a client, once it is one
    ctl acquire shared -- true
    grep -q client_came "$WORLD/log/monitor"
}

# `acquire` and `release` of a network, as fast as one connection can.
come_and_go() { # NETWORK TIMES
    WITHIN=60 as_user python3 - "$WORLD/checkout/tests/wire" \
        "/run/user/$WORLD_UID/vmnet-broker/broker.sock" "$@" <<'END'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from varlink_client import Client
with Client(sys.argv[2]) as client:
    for _ in range(int(sys.argv[4])):
        assert "error" not in client.acquire(sys.argv[3])
        assert "error" not in client.call("Release", {"network_name": sys.argv[3]})
END
}

# Of network lab, whose clients nobody else is: heard, missed of all, and what came last.
heard_of_lab() {
    python3 - "$WORLD/log/monitor" <<'END'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
heard = sum(e["what"] in ("client_came", "client_left") and e.get("network") == "lab" for e in events)
missed = sum(e["count"] for e in events if e["what"] == "missed")
print(heard + missed, "missed" if missed > 0 else "none missed", heard > 0)
END
}

all_are_accounted_for() {
    is "$(heard_of_lab)" "8000 missed True"
}

@test "a monitor that does not read misses events, nobody waits for it, and it is told how many" {
    as_user_in_background monitor vmnet-brokerctl monitor --json
    local monitor=$!
    eventually 10 it_watches
    kill -STOP "$monitor"
    come_and_go lab 4000
    kill -CONT "$monitor"
    eventually 10 all_are_accounted_for # with no other event to bring it
    kill "$monitor"
}

@test "what others could write, and what is no plain file, defines nothing and holds nobody up" {
    local directory name
    directory=$(user_home)/.config/vmnet-broker.d
    as_user sh -c 'mkdir -p "$1" && cd "$1" &&
        echo "{ \"mode\": \"host\", \"subnet\": \"10.7.9.1\" }" >real.json &&
        cp real.json ../away.json &&
        ln -s ../away.json link.json && mkfifo fifo.json &&
        cp real.json open.json && chmod 0666 open.json &&
        cp real.json huge.json && truncate -s 1G huge.json' files "$directory"
    for name in link:"symbolic link" fifo:"no regular file" open:"chmod go-w" huge:"larger than"; do
        run ctl acquire "${name%%:*}" -- true
        [ "$status" -ne 0 ]
        has "$output" "its definition is broken"
        has "$output" "${name#*:}"
    done
    ctl acquire real -- true
    as_user sh -c 'cd "$1" && rm real.json ../away.json link.json fifo.json open.json huge.json' \
        files "$directory"
}

@test "a network whose definition is removed stays for its client, and for nobody else" {
    ctl remove lab
    network_exists lab
    run ctl acquire lab -- true
    [ "$status" != 0 ]
    has "$output" "no network 'lab' is defined"
    network_exists lab
}

@test "a persistent network exists by itself, until its definition says otherwise" {
    define always '{"mode": "host", "persistent": true}'
    eventually 10 network_exists always
    is "$(status_of always "n['status']['clients']")" 0
    ctl remove always
}

@test "a network that leaves its subnet to the broker gets none that a definition fixes" {
    define fixed '{"mode": "host", "subnet": "192.168.67.1"}'
    define free '{"mode": "host"}'
    define free2 '{"mode": "host"}'
    hold free
    hold free2
    not is "$(status_of free "n['status']['network']['ipv4_subnet']")" 192.168.67.0/24 2>/dev/null
    not is "$(status_of free2 "n['status']['network']['ipv4_subnet']")" 192.168.67.0/24 2>/dev/null
    hold fixed
}

@test "the shell completes verbs, options and networks" {
    local completion=$WORLD/checkout/packaging/bash-completion/vmnet-brokerctl
    complete() { # WORD... -> the last one is begun
        as_user bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _vmnet_brokerctl; echo "${COMPREPLY[@]}"' complete "$completion" "$@"
    }
    is "$(complete vmnet-brokerctl mon)" monitor
    is "$(complete vmnet-brokerctl acquire sha)" shared
    has "$(complete vmnet-brokerctl add --rep)" --replace
    is "$(complete vmnet-brokerctl forward "")" "add remove list"
    is "$(complete vmnet-brokerctl forward add sha)" shared
}
