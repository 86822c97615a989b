#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deaths.py STORY [OPTION...] - everything of ours dies, and running guests do not notice.

Runs as an ordinary user inside a world (tests/system/world): two guests under traffic on
`shared` (deaths_guest.py), and a third that is being started again and again. Stories:

  random    SIGKILL of each kind of process, alone and with each other kind, in random order at
            random moments: --deaths N (200), --seconds MAX (0: no end), --seed S, --kinds A,B,
            --rest MAX (0.7 s between them), --pings N (100 a second)
  stopped   each part hangs (SIGSTOP): it is replaced, and netd is named in status
  group     the process group of the first VM is killed
  cgroup    the control group of the first VM is killed ($GROUP: see control_groups.bats)
  everything all of us are killed at once, the anchor too
  runtime   the runtime directory is removed, then broker or netd dies
  journal   netd and broker die, and one of the journal's files is cut
  limits    descriptors and processes run out
  full      the state directory's disk is full (needs a small one: see deaths.bats)
  readonly  the state directory is read-only for a while
  upgrade   brokers and netds of another version come and go ($LATER: see deaths.bats)

What must hold after each death (deaths_world.py): the two guests lose no ping to each other;
DHCP, names, DNS and the outside work again; references, interfaces and addresses in `status`
are those that live; a third guest can be started. At the end all is killed, and everything
goes away by itself. The exit status is 0 when all of it held. How long guests had to wait is
told, and judged by the reader: a machine may be busy with something else.
"""

import argparse
import itertools
import random
import sys
import time

import deaths_stories
import deaths_upgrade
from deaths_guest import SERVICES, Guest
from deaths_world import (CLIENTS, PARTS, STATE, World, fail, failures, kill, kill_all, ours, read,
                          say)

KINDS = sorted(CLIENTS | PARTS | {"starter"})
DESIGN = 2.0  # seconds in which DHCP, DNS and the outside should be back


class Tally:
    """How long guests waited, by what had died."""

    def __init__(self):
        self.deaths = self.late = 0
        self.times = {}

    def add(self, names, outages):
        self.deaths += len(names)
        self.late += any(seconds > DESIGN for seconds in outages.values())
        self.times.setdefault("+".join(names), []).append(outages)

    def tell(self):
        if not self.times:
            return
        say(f"{'longest outage in s after':26}{'times':>5}" + "".join(f"{s:>13}" for s in SERVICES))
        for names in sorted(self.times, key=lambda n: (n.count("+"), n)):
            self.tell_line(names, self.times[names])
        self.tell_line("all of them", [o for times in self.times.values() for o in times])
        say(f"{self.deaths} deaths; {self.late} times something took longer than {DESIGN:g} s")

    @staticmethod
    def tell_line(names, times):
        worst = [max(outages[service] for outages in times) for service in SERVICES]
        say(f"{names:26}{len(times):5}" + "".join(f"{seconds:13.2f}" for seconds in worst))


def one_death(world, kinds, rng, tally, options):
    """Kills one process of each kind, and looks."""
    # Drawn whether or not they are needed, so that one seed always tells the same story.
    rest, restart, moment = rng.random(), rng.random() < 0.5, rng.random() * 0.15
    picks = [rng.random() for _ in kinds]
    time.sleep(rest * options.rest)
    if restart:
        world.start_third()
    if "vmm" in kinds:
        world.need_third("before")
    time.sleep(moment)
    world.take_outages()
    found = [(kind, world.victims(kind)) for kind in kinds]
    chosen = {kind: pids[int(pick * len(pids))] for (kind, pids), pick in zip(found, picks) if pids}
    if not chosen:
        return  # a starter, which nobody needed since it died
    kill_all(chosen.values())
    world.reap()
    world.keep_holders()
    what = " and ".join(f"{kind} ({pid})" for kind, pid in chosen.items()) + " killed"
    tally.add(sorted(chosen), world.settle(what))
    world.need_third(what)


def deck(kinds, rng):
    """Each kind alone and with each other, shuffled, again and again."""
    while True:
        cards = [(kind,) for kind in kinds] + list(itertools.combinations(kinds, 2))
        rng.shuffle(cards)
        yield from cards


def story_random(options):
    say(f"seed {options.seed}")
    Guest.ping_every = 1 / options.pings
    rng = random.Random(options.seed)
    world, tally = World().begin(), Tally()
    end = time.monotonic() + (options.seconds or float("inf"))
    for kinds in deck(options.kinds.split(","), rng):
        if tally.deaths >= options.deaths or time.monotonic() > end or failures:
            break
        one_death(world, kinds, rng, tally, options)
    if tally.deaths < options.deaths and not failures:
        fail(f"only {tally.deaths} deaths in {options.seconds:g} s: this machine is too busy")
    tally.tell()
    world.finish()


def show_logs():
    for name in ("broker.log", "netd.log"):
        for line in read(f"{STATE}/{name}").splitlines()[-40:]:
            say(f"{name}: {line}")


def parse_options(stories):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("story", choices=stories)
    parser.add_argument("--deaths", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rest", type=float, default=0.7)
    parser.add_argument("--pings", type=int, default=100)
    parser.add_argument("--pause", type=float, default=3)
    parser.add_argument("--cuts", type=int, default=8)
    return parser.parse_args()


def main():
    stories = {name[6:]: run for name, run in {**vars(deaths_stories), **vars(deaths_upgrade), **globals()}.items()
               if name.startswith("story_")}
    options = parse_options(stories)
    began = time.monotonic()
    try:
        stories[options.story](options)
    finally:
        for pid in ours():  # only what this world's user started here
            if failures:
                kill(pid)
    say(f"{time.monotonic() - began:.1f} s")
    if failures:
        say(f"seed {options.seed}")
        show_logs()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
