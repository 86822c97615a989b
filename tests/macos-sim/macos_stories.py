# SPDX-License-Identifier: Apache-2.0
"""macos_stories.py - what is the Mac's own: XPC, launchd, vmnet, and plain-XPC programs."""
import json
import os
import pwd
import signal
import subprocess

from world import PATIENCE, Failed, Talker, expect


def acquire_on(world, name="shared"):
    client = world.client()
    expect(client.acquire(name), "network")
    return client


def killed_broker(world):
    """when the broker is killed clients are interrupted, networks die, and acquiring starts anew"""
    client = acquire_on(world)
    world.kill_broker()
    world.eventually(lambda: client.ask("events") == "interrupted=1 invalid=0", 0, "INTERRUPTED")
    expect(client.usable(), False)
    expect(client.acquire("shared"), "network")
    expect(client.usable(), True)


def killed_while_waiting(world):
    """a request that the broker's death cuts off ends as interrupted"""
    client = world.client()
    world.hold_creation(True)
    client.acquire_begin("shared")
    world.creation_begun()
    world.kill_broker()
    world.hold_creation(False)
    expect(client.hear(), "interrupted")
    expect(client.acquire("shared"), "network")


def mistyped_command(world):
    """a missing, mistyped or unknown command is INVALID_REQUEST, with the error alone"""
    client = world.client()
    shared = ("string", "shared")
    for wrong in (("int64", "1"), ("uint64", "1"), ("bool", "true"), ("array", "acquire"),
                  ("null", ""), ("string", ""), ("string", "ACQUIRE"), ("string", "release-all")):
        expect(client.request(command=wrong, network_name=shared), 4, wrong)
    expect(client.request(network_name=shared), 4, "no command:")
    expect(client.request(), 4, "nothing:")
    expect(world.networks(), 0)


def oneway(world):
    """a message that wants no reply takes nothing"""
    client = world.client()
    expect(client.ask("oneway command=string:acquire network_name=string:shared"), "sent")
    expect(client.acquire("no-such-network"), 5)
    expect(world.networks(), 0)
    world.eventually(lambda: world.active() == 0, 0, "nothing under way")


def read_back(world):
    """the subnet is the one that vmnet chose, as list tells"""
    client = acquire_on(world)
    listed = json.loads(client.ask("result vmnet-broker.list"))
    network = listed["networks"][0]["network"]
    subnet = next(iter(world.reservations()))
    expect(network["ipv4_subnet"], subnet + "/24")
    expect(network["ipv4_gateway"], subnet.rsplit(".", 1)[0] + ".1")


def taken_subnet(world):
    """networks that others made are left alone: vmnet gives the next subnet"""
    client = acquire_on(world)
    expect(client.acquire("host"), "network")
    expect(sorted(world.reservations()), ["192.168.64.0", "192.168.65.0"])


def modes(world):
    """shared and host reach vmnet as such; host has no NAT and no DNS, which would be a way out"""
    client = acquire_on(world)
    expect(client.acquire("host"), "network")
    texts = world.reservations()
    for subnet, mode, out in ("192.168.64.0", "shared", 1), ("192.168.65.0", "host", 0):
        expect(texts[subnet].startswith(f"mode={mode} "), True, texts[subnet])
        services = (f"mtu=1500 nat44={out} nat66={out} dhcp=1 dns_proxy={out} "
                    "router_advertisement=1")
        expect(services in texts[subnet], True, texts[subnet])


LAB = {"mode": "shared", "subnet": "192.168.42.1", "mask": "255.255.255.0",
       "ipv6_prefix": "fd00:42::", "ipv6_prefix_length": 64, "external_interface": "en7",
       "nat66": False, "router_advertisement": False, "mtu": 9000,
       "dhcp_reservations": [{"mac": "52:54:00:00:42:10", "address": "192.168.42.10"}],
       "port_forwarding": [{"protocol": "tcp", "external_port": 8080,
                            "address": "192.168.42.10", "internal_port": 80}]}


def defined(world):
    """a network is what its file says, key by key, and a new file counts at once"""
    client = world.client()
    expect(client.acquire("lab"), 5)
    world.define("lab", LAB)
    expect(client.acquire("lab"), "network")
    expect(world.reservations()["192.168.42.0"].rsplit(" ", 1)[0],
           "mode=shared gateway=192.168.42.1 mask=255.255.255.0 prefix=fd00:42::/64 mtu=9000 "
           "nat44=1 nat66=0 dhcp=1 dns_proxy=1 router_advertisement=0 external=en7 "
           "reservations=52:54:00:00:42:10=192.168.42.10 forwards=tcp:8080=[192.168.42.10]:80")
    expect(client.usable(), True)


def refused(world):
    """what vmnet lacks is CREATE_FAILURE, said with file, line and remedy, and harms no other"""
    client = world.client()
    for key, value in (("isolation", True), ("anti_spoofing", "off"), ("uplink", "kernel"),
                       ("dns_servers", ["192.0.2.53"]), ("domain", "lab.example")):
        path = world.define(key.replace("_", "-"), {"mode": "shared", key: value})
        expect(client.acquire(key.replace("_", "-")), 6, key)
        expect(f"cannot create it: {path}:1:" in world.said(), True, key)
        expect(f'remove "{key}"' in world.said() or "remove it" in world.said(), True, key)
    expect(client.acquire("shared"), "network")
    expect(world.networks(), 1)


def broken(world):
    """a broken definition is NOT_FOUND, logged once a change, and harms no other network"""
    client = world.client()
    path = world.define("lab", '{\n  "mode": "shared",\n  "isolate": true\n}\n')
    expect(client.acquire("lab"), 5)
    expect(client.acquire("lab"), 5)
    expect(world.client().acquire("host"), "network")
    expect(world.said().count(f"error: network 'lab': {path}:3:3: there is no key"), 1)
    world.define("lab", LAB)
    expect(client.acquire("lab"), "network")


def hostile_file(world):
    """a definition that others can write, or a link to one, is NOT_FOUND"""
    client = world.client()
    os.chmod(world.define("lab", LAB), 0o666)
    expect(client.acquire("lab"), 5)
    expect("chmod go-w" in world.said(), True)
    os.symlink(world.define("real", LAB), os.path.join(world.definitions, "link.json"))
    expect(client.acquire("link"), 5)
    expect(client.acquire("real"), "network")


def allow(world):
    """allow admits its users, its groups and root, and nobody else"""
    if os.geteuid() != 0:
        return "only root can be several users"
    world.knob("groups", "\n".join(f"daemon {gid}" for gid in (*range(5000, 5020), 4005)))
    world.define("club", {"mode": "shared", "allow": {"groups": ["4005"]}})
    daemon = pwd.getpwnam("daemon").pw_uid
    expect(world.client(uid=daemon).acquire("club"), "network", "a member beside its own group:")
    expect(world.client(uid=4001).acquire("club"), 3)
    world.define("lab", {**LAB, "allow": {"users": ["4001"], "groups": ["4002"]}})
    for uid, answer in (4001, "network"), (4002, "network"), (4003, 3), (None, "network"):
        expect(world.client(uid=uid).acquire("lab"), answer, f"user {uid}:")
    world.define("lab", {**LAB, "allow": {"users": ["4003"]}})
    expect(world.client(uid=4003).acquire("lab"), "network")
    expect(world.client(uid=4001).acquire("lab"), 3)


def pending(world):
    """changes of a network in use are applied or pending by the next client, and all count anew"""
    client = world.client()
    world.define("lab", LAB)
    expect(client.acquire("lab"), "network")
    before = world.reservations()["192.168.42.0"]
    world.define("lab", {**LAB, "mtu": 1400, "port_forwarding": [], "idle_timeout": 10})
    told = json.loads(world.client().ask("result vmnet-broker.status lab"))
    expect(sorted(told["networks"][0]["pending"]), ["mtu", "port_forwarding"])
    expect("pending until it is created again: mtu" in ctl(world, "status", "lab").stdout, True)
    expect(world.reservations()["192.168.42.0"], before)
    witness = acquire_on(world)
    client.kill()
    world.eventually(lambda: world.networks() == 1, 10, "the removal after its own idle time")
    expect(witness.acquire("lab"), "network")
    expect(" mtu=1400 " in world.reservations()["192.168.42.0"], True)
    expect(" forwards= " in world.reservations()["192.168.42.0"], True)


def persistent(world):
    """a persistent network exists as soon as the broker does, and keeps both"""
    world.define("lab", {**LAB, "persistent": True})
    client = world.client()
    expect(client.acquire("no-such-network"), 5)
    world.eventually(lambda: "192.168.42.0" in world.reservations(), 0, "its creation")
    client.kill()
    pid = world.broker_pid()
    world.seconds(400)
    expect((world.broker_pid(), world.networks()), (pid, 1))
    world.define("lab", LAB)
    expect(world.client().acquire("no-such-network"), 5)
    world.eventually(lambda: world.networks() == 0, 120, "the removal, not persistent any more")


def entitlement(world):
    """status 1002 is explained in the log: the entitlement is missing"""
    client = world.client()
    world.knob("fail", "vmnet_network_create=1002")
    expect(client.acquire("shared"), 6)
    expect("com.apple.security.virtualization" in world.said(), True, "explained:")


def unserializable(world):
    """a network that cannot be serialized is CREATE_FAILURE and does not stay"""
    client = world.client()
    world.knob("fail", "vmnet_network_copy_serialization=1001")
    expect(client.acquire("shared"), 6)
    expect(world.networks(), 0)
    world.eventually(lambda: world.active() == 0, 0, "nothing under way")


def transactions(world):
    """a transaction is open exactly while networks exist"""
    client, witness = world.client(), world.client()
    expect(witness.acquire("no-such-network"), 5)
    world.eventually(lambda: world.active() == 0, 0, "idle at first")
    expect(client.acquire("shared"), "network")
    world.eventually(lambda: world.active() == 1, 0, "one network")
    expect(client.acquire("host"), "network")
    world.eventually(lambda: world.active() == 2, 0, "two networks")
    start = world.now()
    client.kill()
    world.eventually(lambda: world.active() < 2, 120, "one network less")
    expect(world.now() - start >= 120, True, "idle networks still count:")
    world.eventually(lambda: world.active() == 0, 0, "no network any more")
    world.knob("fail", "vmnet_network_create=1001")
    expect(witness.acquire("shared"), 6)
    world.eventually(lambda: world.active() == 0, 0, "after a failure")


def term_without_users(world):
    """SIGTERM ends a broker that nobody uses, with idle networks too"""
    client, witness = acquire_on(world), world.client()
    expect(witness.acquire("no-such-network"), 5)
    client.kill()
    world.eventually(lambda: "nobody uses it" in world.said(), 0, "the idle network")
    world.launchd.ask("kill TERM")
    world.eventually(lambda: world.broker_pid() == 0, 0, "its exit")
    expect(world.last_exit(), "exit 0")


def term_with_users(world):
    """SIGTERM to a broker with users waits for the last of them"""
    first, second = acquire_on(world), acquire_on(world, "host")
    pid = world.broker_pid()
    world.launchd.ask("kill TERM")
    world.eventually(lambda: "staying until" in world.said(), 0, "what it says")
    expect(f"pid {first.process.pid}" in world.said(), True, "it names them:")
    first.kill()
    world.seconds(60)
    expect(world.broker_pid(), pid)
    expect(second.usable(), True)
    expect(world.client().acquire("shared"), "network")
    for talker in world.talkers:
        talker.kill()
    world.eventually(lambda: world.broker_pid() == 0, 0, "its exit")
    expect(world.last_exit(), "exit 0")


def imminent(world):
    """when the system wants it to end, an unused broker goes and a used one stays"""
    client = acquire_on(world)
    pid = world.broker_pid()
    world.launchd.ask("terminate")
    world.eventually(lambda: "staying until" in world.said(), 0, "what it says")
    expect(world.broker_pid(), pid)
    expect(client.usable(), True)
    client.kill()
    world.eventually(lambda: world.broker_pid() == 0, 0, "its exit")
    expect(world.last_exit(), "exit 0")


def stop_active(world):
    """launchd gives a broker that holds networks time, and ends it after ExitTimeOut"""
    client = acquire_on(world)
    world.deaths_expected.add("signal 9")
    start = world.now()
    world.launchd.ask("stop")
    world.eventually(lambda: not client.usable(), 30, "the end of its networks")
    expect(world.now() - start >= 30, True, "not before ExitTimeOut:")
    world.eventually(lambda: world.broker_pid() == 0, 0, "SIGKILL")
    expect(world.last_exit(), "signal 9")


def stop_inactive(world):
    """launchd kills an idle broker at once, and nothing is lost"""
    client = world.client()
    expect(client.acquire("no-such-network"), 5)
    world.eventually(lambda: world.active() == 0, 0, "idle")
    world.deaths_expected.add("signal 9")
    world.launchd.ask("stop")
    world.eventually(lambda: client.ask("events") == "interrupted=1 invalid=0", 0, "INTERRUPTED")
    expect(client.acquire("shared"), "network")


def stop_request(world):
    """vmnet-broker.stop ends an unused broker, and names who stands against it"""
    asker, user = world.client(), acquire_on(world)
    answer = asker.ask("result vmnet-broker.stop")
    if os.geteuid() != 0:
        expect(answer.startswith("error 3: "), True, answer)
        return
    expect(answer.startswith("error 3: ") and str(user.process.pid) in answer, True, answer)
    user.kill()
    world.eventually(lambda: asker.ask("result vmnet-broker.stop") == "{}", 0, "the broker's yes")
    world.eventually(lambda: world.broker_pid() == 0, 0, "its exit")
    expect(world.last_exit(), "exit 0")


def status(world):
    """list and status tell what exists, in result and never in network"""
    client = world.client()
    expect(json.loads(client.ask("result vmnet-broker.list")), {"networks": []})
    expect(client.acquire("shared"), "network")
    told = json.loads(client.ask("result vmnet-broker.status"))
    expect(told["broker"]["pid"], world.broker_pid())
    expect(told["networks"][0]["status"]["name"], "shared")
    expect(told["networks"][0]["clients"][0]["pid"], client.process.pid)
    expect(client.ask("result vmnet-broker.status host").startswith("error 5: "), True)
    expect(client.ask("result vmnet-broker.unheard-of").startswith("error 4: "), True)


def privacy(world):
    """a caller who is not root sees its own clients only"""
    if os.geteuid() != 0:
        return "only root can be two users"
    mine, other = world.client(uid=4001), world.client(uid=4002)
    expect(mine.acquire("shared"), "network")
    expect(other.acquire("shared"), "network")
    told = json.loads(mine.ask("result vmnet-broker.status"))["networks"][0]
    expect(told["status"]["clients"], 2)
    expect([c["uid"] for c in told["clients"]], [4001])
    expect(mine.ask("result vmnet-broker.stop").startswith("error 3: "), True)


def crowd(world):
    """one user's connections are limited, and the limit has its own answer"""
    client, other = world.client(uid=4001 if os.geteuid() == 0 else None), world.client()
    answer = client.ask("crowd 560 shared")
    expect(answer, "network=512 error3=48 error=0")
    if os.geteuid() == 0:
        expect(other.acquire("shared"), "network")


def waiting_limit(world):
    """requests beyond what may wait on one connection are refused at once"""
    client = world.client()
    world.hold_creation(True)
    client.say("flood 100 shared 68")
    expect(client.hear(), "refused 68")
    world.hold_creation(False)
    counts = dict(word.split("=") for word in client.hear().split())
    expect(counts, {"network": "32", "error3": "68", "error": "0"})


def library(world):
    """the library acquires, from many threads at once, and reports what failed"""
    client = world.client()
    expect(client.ask("library shared"), "network")
    expect(client.ask("library shared"), "network")
    expect(client.same(), True)
    expect(client.ask("library-many 16 host"), "16")
    expect(client.ask("library no-such-network"), "status 5")
    expect(client.ask("library UPPER"), "status 4")


def library_lost(world):
    """the library reports a broker that died, and the next acquire starts afresh"""
    client = world.client()
    expect(client.ask("library shared"), "network")
    world.hold_creation(True)
    client.say("library host")
    world.creation_begun()
    world.kill_broker()
    world.hold_creation(False)
    expect(client.hear(), "status 1")
    expect(client.usable(), False)
    expect(client.ask("library shared"), "network")
    expect(client.usable(), True)


def library_retries(world):
    """while it holds nothing, the library asks a new broker when the old one goes under it"""
    client = world.client()
    world.hold_creation(True)
    client.say("library shared")
    world.creation_begun()
    world.kill_broker()
    world.hold_creation(False)
    expect(client.hear(), "network")
    expect(client.usable(), True)


def frames(world):
    """plain-XPC programs exchange frames on a broker's network"""
    names = ["alice", "bob", "carol"]
    people = {n: world.program("plain-xpc", arguments=["shared", n]) for n in names}
    for talker in people.values():
        expect(talker.hear().startswith("started "), True)
    for name, talker in people.items():
        missing = set(names) - {name}
        while missing:
            line = talker.hear()
            expect(line == f"heard {name}", False, "its own echo:")
            missing.discard(line[6:])
    for talker in people.values():
        talker.process.send_signal(signal.SIGTERM)
        expect(talker.process.wait(PATIENCE), 0, "a plain-XPC program ended with")


def frames_end(world):
    """a plain-XPC program hears of the broker's death"""
    talker = world.program("plain-xpc", arguments=["shared", "alice"])
    expect(talker.hear().startswith("started "), True)
    world.kill_broker()
    expect(talker.process.wait(PATIENCE), 1)
    expect("the broker has died" in world.said(), True)


def ctl(world, *arguments):
    return subprocess.run([os.path.join(world.bin, "vmnet-brokerctl"), *arguments], env=world.env,
                          capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL)


def command(world):
    """vmnet-brokerctl acquires for a command, lists, and says why not"""
    inner = ctl(world, "acquire", "shared", "--", os.path.join(world.bin, "vmnet-brokerctl"),
                "--json", "status", "shared")
    expect(inner.returncode, 0, inner.stderr)
    expect(json.loads(inner.stdout)["networks"][0]["status"]["clients"], 1)
    expect(ctl(world, "acquire", "shared", "--", "sh", "-c", "exit 7").returncode, 7)
    expect(ctl(world, "acquire", "shared", "--", "no-such-command").returncode, 127)
    holder = acquire_on(world)
    listed = ctl(world, "list")
    holder.kill()
    expect((listed.returncode, "192.168.64.0/24" in listed.stdout), (0, True), listed.stdout)
    wrong = ctl(world, "acquire", "no-such-network")
    expect((wrong.returncode, "no-such-network" in wrong.stderr), (1, True), wrong.stderr)
    expect(ctl(world, "frobnicate").returncode, 2)
    expect(ctl(world, "acquire").returncode, 2)


def command_holds(world):
    """vmnet-brokerctl acquire holds a network until it is ended"""
    holder = world.program("vmnet-brokerctl", arguments=["acquire", "shared"])
    expect("holding" in holder.hear(), True)
    world.seconds(300)
    expect(world.networks(), 1)
    holder.process.terminate()
    expect(holder.process.wait(PATIENCE), -signal.SIGTERM)
    world.eventually(lambda: world.networks() == 0, 120, "the removal")


def definition_of(world, verb, *arguments, text=None):
    """What a verb about definitions says, and its status."""
    ran = subprocess.run([os.path.join(world.bin, "vmnet-brokerctl"), verb, "--config-dir",
                          world.definitions, *arguments], env=world.env, capture_output=True,
                         text=True, timeout=PATIENCE, input=text or "")
    return ran.returncode, ran.stdout + ran.stderr


def command_defines(world):
    """vmnet-brokerctl add, show and remove define a network that can be acquired"""
    client = world.client()
    expect(definition_of(world, "add", "lab", text=json.dumps(LAB))[0], 0)
    expect(client.acquire("lab"), "network")
    expect(definition_of(world, "add", "lab", text=json.dumps(LAB))[0], 1, "without --replace:")
    status, shown = definition_of(world, "show", "--json", "lab")
    expect((status, json.loads(shown)["definition"]["mtu"]), (0, 9000), shown)
    expect("192.168.42.1" in definition_of(world, "show")[1], True)
    expect(definition_of(world, "remove", "lab")[0], 0)
    expect(world.client().acquire("lab"), 5)
    expect(client.usable(), True)


def command_checks(world):
    """vmnet-brokerctl check names what macOS lacks, with its place, and networks that exist"""
    holder = acquire_on(world, "host")
    expect(holder.usable(), True)
    lacking = world.define("odd", {"mode": "shared", "isolation": True, "domain": "lab.example"})
    expect(definition_of(world, "check", "odd"), (1, (
        f'{lacking}:1:33: macOS cannot isolate the VMs of a network; remove "isolation", and start '
        "interfaces with vmnet_enable_isolation_key\n"
        f'{lacking}:1:49: macOS lacks "domain"; remove it\n')))
    status, added = definition_of(world, "add", "odd2", text='{"mode": "shared", "uplink": "user"}')
    expect((status, "odd2.json:1:30: macOS chooses" in added), (1, True), added)
    taken = [subnet for subnet in world.reservations()][0]
    gateway = taken.rsplit(".", 1)[0] + ".1"
    world.define("lab", {"mode": "shared", "subnet": gateway})
    status, said = definition_of(world, "check", "--json", "lab")
    expect((status, "network 'host', which exists" in said), (1, True), said)
    expect(definition_of(world, "check", "shared")[0], 0)
    expect(ctl(world, "--user", "check").returncode, 2)


def by_hand(world):
    """a broker that launchd did not start says so and exits"""
    ran = subprocess.run([os.path.join(world.bin, "vmnet-broker")], env=world.env, timeout=PATIENCE,
                         capture_output=True, text=True, stdin=subprocess.DEVNULL)
    expect(ran.returncode, 1)
    expect("launchctl bootstrap" in ran.stderr, True, ran.stderr)


def options(world):
    """options are checked, with help"""
    def broker(*arguments):
        return subprocess.run([os.path.join(world.bin, "vmnet-broker"), *arguments], env=world.env,
                              timeout=PATIENCE, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
    expect(broker("--version").stdout.startswith("vmnet-broker "), True)
    expect("--idle-timeout" in broker("--help").stdout, True)
    for wrong in (["--idle-timeout", "-1"], ["--idle-timeout", "x"], ["--log-level", "loud"],
                  ["--frobnicate"], ["argument"]):
        expect(broker(*wrong).returncode, 2, str(wrong))


STORIES = [killed_broker, killed_while_waiting, mistyped_command, oneway, read_back, taken_subnet, modes,
           defined, refused, broken, hostile_file, allow, pending, persistent, entitlement,
           unserializable, transactions, term_without_users, term_with_users, imminent, stop_active,
           stop_inactive, stop_request, status, privacy, crowd, waiting_limit, library, library_lost,
           library_retries, frames, frames_end, command, command_holds, command_defines, command_checks,
           by_hand, options]
