# SPDX-License-Identifier: Apache-2.0
"""stories.py - what the broker promises on every system (design, section 1).

A story's documentation is its title. It gets a world (see world.py) and raises what went
wrong. Idle networks and brokers go after 120 seconds of the world's time.
"""
from world import expect

STRING = "string"


def acquire(world):
    """acquire gives a network that can be used"""
    client = world.client()
    expect(client.acquire("shared"), "network")
    expect(client.usable(), True)
    expect(world.networks(), 1)


def acquire_twice(world):
    """acquiring twice on one connection gives the same answer and is one reference"""
    client, other = world.client(), world.client()
    expect(client.acquire("shared"), "network")
    expect(client.acquire("shared"), "network")
    expect(client.same(), True)
    expect(other.acquire("host"), "network")
    client.kill()
    world.eventually(lambda: world.networks() == 1, 120, "one release for two acquires")


def share(world):
    """many clients share one network"""
    clients = [world.client() for _ in range(8)]
    for client in clients:
        expect(client.acquire("shared"), "network")
    expect(world.networks(), 1)
    for client in clients[1:]:
        client.kill()
    world.seconds(180)
    expect(world.networks(), 1)
    expect(clients[0].usable(), True)


def hold_many(world):
    """one client holds many networks, and they differ"""
    client = world.client()
    expect(client.acquire("shared"), "network")
    expect(client.acquire("host"), "network")
    expect(client.same(), False)
    expect(world.networks(), 2)


def unknown(world):
    """an unknown network is NOT_FOUND"""
    client = world.client()
    expect(client.acquire("no-such-network"), 5)
    expect(world.networks(), 0)


def malformed(world):
    """a malformed name is INVALID_REQUEST"""
    client = world.client()
    for name in "UPPER", "-dash", "a.b", "x" * 64, "x" * 3000, "../etc":
        expect(client.acquire(name), 4, name)
    expect(client.request(command=(STRING, "acquire"), network_name=(STRING, "")), 4)
    expect(client.acquire("shared"), "network")


def mistyped(world):
    """a missing or mistyped network name is INVALID_REQUEST"""
    client = world.client()
    acquire_it = (STRING, "acquire")
    for name in ("int64", "0"), ("uint64", "7"), ("bool", "true"), ("array", "shared"), ("null", ""):
        expect(client.request(command=acquire_it, network_name=name), 4, name)
    expect(client.request(command=acquire_it), 4, "no name:")
    expect(world.networks(), 0)
    expect(client.acquire("shared"), "network")


def killed_client(world):
    """a client killed with -9 gives everything back"""
    client, witness = world.client(), world.client()
    expect(client.acquire("shared"), "network")
    expect(witness.acquire("host"), "network")
    start = world.now()
    client.kill()
    world.eventually(lambda: world.networks() == 1, 120, "the removal of an unused network")
    expect(world.now() - start >= 120, True, "not before its idle time:")


def reacquire(world):
    """an acquire before the idle time is over keeps the network"""
    first, second, witness = world.client(), world.client(), world.client()
    expect(first.acquire("shared"), "network")
    expect(witness.acquire("shared"), "network")
    witness.kill()
    first.kill()
    world.seconds(60)
    expect(second.acquire("shared"), "network")
    world.seconds(150)
    expect(world.networks(), 1)
    expect(second.usable(), True)


def on_demand(world):
    """an unused broker exits after the idle time, and the next client starts one"""
    first, second = world.client(), world.client()
    expect(first.acquire("shared"), "network")
    pid = world.broker_pid()
    first.kill()
    world.eventually(lambda: world.broker_pid() == 0, 300, "the exit of an unused broker")
    expect(second.acquire("shared"), "network")
    expect(world.broker_pid() not in (0, pid), True, "a new broker:")


def stays(world):
    """a broker does not exit while a network is held"""
    client = world.client()
    expect(client.acquire("shared"), "network")
    pid = world.broker_pid()
    world.seconds(400)
    expect(world.broker_pid(), pid)
    expect(client.usable(), True)


def failed_creation(world):
    """a network that cannot be created is CREATE_FAILURE, for everybody, and may work later"""
    clients = [world.client() for _ in range(3)]
    world.fail_creation(True)
    for client in clients:
        client.acquire_begin("shared")
    for client in clients:
        expect(client.outcome(client.hear()), 6)
    expect(world.networks(), 0)
    world.fail_creation(False)
    expect(clients[0].acquire("shared"), "network")


def slow_creation(world):
    """one slow creation holds up nobody else"""
    slow, other = world.client(), world.client()
    expect(other.acquire("host"), "network")
    world.hold_creation(True)
    slow.acquire_begin("shared")
    world.creation_begun()
    for _ in range(20):
        expect(other.acquire("host"), "network")
        expect(other.acquire("no-such-network"), 5)
    expect(slow.lines.empty(), True, "the slow one is still waiting:")
    world.hold_creation(False)
    expect(slow.outcome(slow.hear()), "network")


def left_while_creating(world):
    """a client that goes while its network is created leaves nothing behind"""
    client, witness = world.client(), world.client()
    expect(witness.acquire("host"), "network")
    world.hold_creation(True)
    client.acquire_begin("shared")
    world.creation_begun()
    client.kill()
    world.hold_creation(False)
    world.eventually(lambda: "network 'shared': created" in world.said(), 0,
                     "the network of the one who left")
    world.eventually(lambda: world.networks() == 1, 120, "its removal")


def flood(world):
    """a flood from one client is answered, and others are served meanwhile"""
    loud, quiet = world.client(), world.client()
    expect(quiet.acquire("shared"), "network")
    world.hold_creation(True)
    loud.say("flood 500 host")
    for _ in range(20):
        expect(quiet.acquire("shared"), "network")
    world.hold_creation(False)
    answer = loud.hear()
    counts = dict(word.split("=") for word in answer.split())
    expect(int(counts["network"]) + int(counts["error3"]), 500, "answers:")
    expect(counts["error"], "0", "requests that broke:")
    expect(loud.acquire("host"), "network")


STORIES = [acquire, acquire_twice, share, hold_many, unknown, malformed, mistyped, killed_client,
           reacquire, on_demand, stays, failed_creation, slow_creation, left_while_creating, flood]
