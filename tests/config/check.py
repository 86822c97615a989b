#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check.py VMNET_BROKERCTL MAN_PAGE - `vmnet-brokerctl check`, on directories of its own.

What is wrong with one definition is told by the cases beside this file; here it is which
definitions are looked at, how they collide, and how scripts are told. And that the
manual page is right.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import traceback

PROGRAM, MAN_PAGE = map(os.path.abspath, sys.argv[1:3])
ROOT = pathlib.Path(__file__).resolve().parents[2]
# A machine's own routes must not collide with our subnets, where it lets us have others.
NO_ROUTES = ["unshare", "--user", "--map-current-user", "--net"]
if subprocess.run([*NO_ROUTES, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
    NO_ROUTES = []
BEHAVIOURS = []


def behaviour(title):
    def add(function):
        BEHAVIOURS.append((title, function))
        return function
    return add


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: {got!r} instead of {want!r}")


class Home:
    """A user without a broker, and with two directories of definitions."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.own = self.dir / "config" / "vmnet-broker.d"
        self.own.mkdir(mode=0o755, parents=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir),
                    "XDG_RUNTIME_DIR": str(self.dir), "XDG_CONFIG_HOME": str(self.dir / "config")}

    def write(self, name, text, mode=0o644):
        path = self.own / name
        path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
        path.chmod(mode)
        return path

    def check(self, *arguments):
        """Exit status and output."""
        run = subprocess.run([*NO_ROUTES, PROGRAM, "--user", "check", *map(str, arguments)],
                             env=self.env, cwd=self.dir, timeout=20, text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return run.returncode, run.stdout


def shared(**keys):
    return {"mode": "shared", **keys}


def forward(port, address="10.201.1.10"):
    return {"protocol": "tcp", "external_port": port, "address": address, "internal_port": 80}


@behaviour("without arguments, all definitions are checked, and a broken one fails")
def all_of_them(home):
    lab, web = home.write("lab.json", shared()), home.write("web.json", shared())
    equal(home.check(), (0, f"{lab}: ok\n{web}: ok\n"))
    home.write("lab.json", "{\n  \"mode\": \"shared\"\n  \"mtu\": 1500 }")
    status, output = home.check()
    equal(status, 1)
    assert f"{lab}:3:3: " in output and f"{web}: ok" in output, output


@behaviour("no definitions at all are fine")
def none(home):
    status, output = home.check()
    equal(status, 0)
    assert str(home.own) in output and "/etc/vmnet-broker.d" in output, output


@behaviour("a name is looked up, built-in ones too; an unknown or impossible one fails")
def names(home):
    lab = home.write("lab.json", shared())
    equal(home.check("lab", "shared", "host"),
          (0, f"{lab}: ok\nshared: ok, built in\nhost: ok, built in\n"))
    status, output = home.check("lab2")
    equal((status, "lab2: there is no" in output), (1, True), output)
    status, output = home.check("Lab")
    equal((status, "cannot be a network's name" in output), (1, True), output)


@behaviour("a draft anywhere is checked for its contents, under its name")
def draft(home):
    (home.dir / "host.json").write_text('{ "mode": "shared" }', encoding="utf-8")
    (home.dir / "host.json").chmod(0o666)
    status, output = home.check("host.json")
    equal((status, output.startswith("host.json:1:11: ")), (1, True), output)
    (home.dir / "My Lab.json").write_text('{ "mode": "shared" }', encoding="utf-8")
    status, output = home.check(home.dir / "My Lab.json")
    equal((status, "rename it" in output), (1, True), output)
    equal(home.check("./no.json"), (1, "./no.json: No such file or directory\n"))


@behaviour("a file that others can write, and one of an impossible name, are found")
def files(home):
    home.write("lab.json", shared(), mode=0o664)
    home.write("My_lab.json", shared())
    home.write("lab.json~", "not looked at")
    status, output = home.check()
    equal(status, 1)
    equal(len(output.splitlines()), 2, output)
    assert "written by its group; chmod go-w" in output and "My_lab.json: " in output, output


@behaviour("two definitions collide by subnet, prefix and port, and each names the other")
def collisions(home):
    one = shared(subnet="10.201.1.1", ipv6_prefix="fd00:201::",
                 port_forwarding=[forward(80), forward(81)])
    two = shared(subnet="10.201.1.1", mask="255.255.255.128", ipv6_prefix="fd00:201::",
                 port_forwarding=[forward(80)])
    home.write("one.json", one)
    home.write("two.json", two)
    status, output = home.check("two")
    equal(status, 1)
    assert "its subnet 10.201.1.0/25 conflicts with the definition of 'one'" in output, output
    assert "its prefix fd00:201::/64 conflicts with the definition of 'one'" in output, output
    assert "TCP port 80 of the host is forwarded by network 'one' too" in output, output
    equal(len(output.splitlines()), 3, output)
    equal(home.check("one")[1].count("'two'"), 3)

    two.update(subnet="10.201.2.1", ipv6_prefix="fd00:202::",
               port_forwarding=[forward(82, "10.201.2.10")])
    home.write("two.json", two)
    equal(home.check("one", "two")[0], 0)


@behaviour("two small subnets in one /24 do not collide")
def small_subnets(home):
    home.write("one.json", shared(subnet="10.201.1.1", mask="255.255.255.240"))
    home.write("two.json", shared(subnet="10.201.1.17", mask="255.255.255.240"))
    equal(home.check()[0], 0)


@behaviour("--json gives one object a definition, problems with line and column")
def as_json(home):
    lab = home.write("lab.json", '{ "mode": "shared",\n  "mut": 1500 }')
    status, output = home.check("--json", "lab", "shared")
    equal(status, 1)
    equal(json.loads(output), [
        {"name": "lab", "file": str(lab), "valid": False, "left_out": 0,
         "problems": [{"line": 2, "column": 3, "problem": 'there is no key "mut"',
                       "remedy": 'did you mean "mtu"?'}]},
        {"name": "shared", "file": None, "valid": True, "left_out": 0, "problems": []}])
    equal(home.check("--json", "shared")[0], 0)


@behaviour("--config-dir replaces the usual directories")
def config_dir(home):
    home.write("broken.json", "{")
    other = home.dir / "other"
    other.mkdir(mode=0o755)
    (other / "lab.json").write_text('{ "mode": "host" }', encoding="utf-8")
    (other / "lab.json").chmod(0o644)
    equal(home.check("--config-dir", other), (0, f"{other}/lab.json: ok\n"))


@behaviour("a wrong option is a mistake of another kind")
def usage(home):
    status, output = home.check("--nonsense")
    equal((status, "usage: vmnet-brokerctl" in output), (2, True), output)


def page():
    return pathlib.Path(MAN_PAGE).read_text(encoding="utf-8")


@behaviour("every example of vmnet-broker.d(5) is right, and all can be used together")
def manual(home):
    examples = re.findall(r"^\.Pa /etc/vmnet-broker\.d/(\S+\.json)\n.*?^\.Bd.*?\n(.*?)^\.Ed",
                          page().partition(".Sh EXAMPLES")[2], re.MULTILINE | re.DOTALL)
    assert len(examples) >= 5, examples
    paths = sorted(home.write(name, text) for name, text in examples)
    equal(home.check(), (0, "".join(f"{path}: ok\n" for path in paths)))


@behaviour("vmnet-broker.d(5) has every key, and none that there is not")
def keys(home):
    code = (ROOT / "src/model/definition.c").read_text(encoding="utf-8")
    known = set(re.findall(r'\[KEY_\w+\] = "(\w+)"', code))
    described = re.findall(r"^\.It Cm (\w+)$", page(), re.MULTILINE)
    equal(sorted(described), sorted(known))
    home.write("lab.json", {key: None for key in described})
    output = home.check("lab")[1]
    equal(output.count(", not null; "), len(known), output)


def main():
    failed = 0
    os.umask(0o022)
    for title, function in BEHAVIOURS:
        with tempfile.TemporaryDirectory(prefix="check.") as directory:
            try:
                function(Home(directory))
                print(f"ok     {title}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"FAILED {title}\n{traceback.format_exc()}", flush=True)
    print(f"{len(BEHAVIOURS) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
