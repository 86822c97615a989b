#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same VM is the same on its network for ever: MAC, address and name.
load lib

teardown() {
    tell_what_happened
    stop_everything
}

identity() { # NAME -> what run tells the VM
    ctl run --network shared --name "$1" -- echo '{mac} {ip}'
}

@test "a VM has the same MAC and address again after everything was stopped" {
    local first second
    first=$(identity web)
    second=$(identity db)
    not is "$first" "$second" 2>/dev/null
    stop_everything
    nothing_is_left
    # In the other order, so that counting from the start would give it away.
    is "$(identity db)" "$second"
    is "$(identity web)" "$first"
}

@test "an anonymous VM takes no named VM's address" {
    local web anonymous
    web=$(identity web)
    anonymous=$(ctl run --network shared -- echo '{mac} {ip}')
    not is "${web#* }" "${anonymous#* }" 2>/dev/null
    is "$(identity web)" "$web"
}

@test "a name or a MAC that is live on the network is refused to another" {
    as_user_in_background vm vmnet-brokerctl run --network shared --name web -- sleep 60
    eventually 10 has_interface web
    run identity web
    not is "$status" 0 2>/dev/null
    has "$output" web
    local mac
    mac=$(status_of shared "n['interfaces'][0]['mac_address']")
    run ctl run --network "shared,mac=$mac" --name other -- true
    not is "$status" 0 2>/dev/null
    kill -TERM "$(ours | sed -n 's, /.*sleep$,,p')"
    eventually 10 not has_interface web 2>/dev/null
}

has_interface() {
    [ "$(status_of shared "'$1' in [i['name'] for i in n['interfaces']]")" = True ]
}

@test "a chosen MAC is given, and names that the network needs itself are not" {
    has "$(ctl run --network shared,mac=52:54:00:12:34:56 --name own -- echo '{mac}')" 52:54:00:12:34:56
    for name in host gateway wpad localhost 'two words' ..; do
        run ctl run --network shared --name "$name" -- true
        not is "$status" 0 2>/dev/null
    done
}

@test "the same name on another network is another VM" {
    local there
    there=$(ctl run --network host --name web -- echo '{mac} {ip}')
    not is "$there" "$(identity web)" 2>/dev/null
}
