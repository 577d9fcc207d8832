"""The servers, and how to build each, start it, and get its version.

To add one: a folder in Peers with a server that is started as `server echo|count BUFFER`, prints `port N` and ends at
SIGTERM; a function here that builds it and returns the command; a line in PEERS.
"""
import os
import pathlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Callable

folder = pathlib.Path(__file__).resolve().parent.parent
peers = folder / "Peers"
build = folder / ".build"
built = build / "peers"
DEBIAN_CRATES = pathlib.Path("/usr/share/cargo/registry")


class Missing(Exception):
    """The error for a program that a server needs and this machine lacks. The server is listed and left out."""


@dataclass(frozen=True)
class Built:
    command: list
    version: str


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    build: Callable
    # The workloads in which it is measured when it is not named on the command line; None for all.
    works: tuple | None = None


def _need(*programs):
    for program in programs:
        if found := shutil.which(program):
            return found
    raise Missing(f"{' or '.join(programs)} is not installed")


def _output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()


def _run(name, command, limit=1800, cwd=None, **environment):
    """Runs a build command. The output goes to a file; a failure shows the first error and the file's name."""
    build.mkdir(exist_ok=True)
    log = build / f"{name}.log"
    try:
        with open(log, "w") as out:
            done = subprocess.run(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                timeout=limit, cwd=cwd, env={**os.environ, **environment})
    except subprocess.TimeoutExpired:
        raise Missing(f"its build took more than {limit} s")
    if done.returncode != 0:
        errors = [line for line in log.read_text(errors="replace").splitlines() if "error" in line.lower()]
        # Results are committed, and must not contain the path of this checkout.
        reason = errors[0].strip().replace(f"{folder.parent}/", "") if errors else "its build failed"
        raise Missing(f"{reason} (more in Benchmarks/.build/{log.name})")


def compile_c(name, sources):
    compiler = _need("gcc", "clang", "cc")
    product = build / name
    product.parent.mkdir(parents=True, exist_ok=True)
    _run("c", [compiler, "-O2", "-Wall", "-Wextra", "-o", product, *sources])
    return product, _output(compiler, "--version").splitlines()[0]


def _c():
    product, version = compile_c("peers/c", [peers / "C/server.c"])
    return Built([product], version)


def _swift_version():
    words = _output("swift", "--version").split()
    return " ".join(words[words.index("Swift"):words.index("Swift") + 3]) if "Swift" in words else "Swift"


_swift_builds = {}


def _swift(package, scratch, product):
    """Builds all products of a package, in a single attempt that serves every product."""
    _need("swift")
    if package not in _swift_builds:
        try:
            _run(f"swift-{scratch.name}", ["swift", "build", "-c", "release", "--package-path", package,
                                           "--scratch-path", scratch])
            _swift_builds[package] = None
        except Missing as reason:
            _swift_builds[package] = reason
    if _swift_builds[package]:
        raise _swift_builds[package]
    return scratch / "release" / product


def _swift_peer(product, dependency):
    def make():
        scratch = built / "swift"
        binary = _swift(peers / "Swift", scratch, product)
        resolved = (peers / "Swift/Package.resolved").read_text().split('"identity" : ')
        pins = {pin.split('"')[1]: pin.split('"version" : "')[1].split('"')[0] for pin in resolved[1:]}
        return Built([binary], f"{dependency} {pins[dependency]}, {_swift_version()}")
    return make


def _fin(*flags):
    def make():
        binary = _swift(folder, build, "fin-server")
        commit = _output("git", "-C", folder, "describe", "--always", "--dirty")
        return Built([binary, *flags], f"{commit}, {_swift_version()}")
    return make


def _tokio():
    cargo = _need("cargo")
    command = [cargo, "build", "--release", "--manifest-path", peers / "Tokio/Cargo.toml"]
    if list(DEBIAN_CRATES.glob("tokio-1*")):
        command += [
            "--offline", "--config", 'source.crates-io.replace-with="debian"',
            "--config", f'source.debian.directory="{DEBIAN_CRATES}"']
    _run("tokio", command, CARGO_TARGET_DIR=str(built / "tokio"))
    lock = (peers / "Tokio/Cargo.lock").read_text()
    version = lock.split('name = "tokio"\nversion = "')[1].split('"')[0]
    rustc = " ".join(_output(_need("rustc"), "--version").split()[:2])
    return Built([built / "tokio/release/server"], f"tokio {version}, {rustc}")


def _go():
    go = _need("go")
    _run("go", [go, "build", "-o", built / "go", "."], cwd=peers / "Go")
    return Built([built / "go"], _output(go, "version").split()[2])


def _python(module):
    """Returns the Python that runs this if it has the module, else the system's Python."""
    for python in dict.fromkeys([sys.executable, "/usr/bin/python3"]):
        if pathlib.Path(python).exists() and subprocess.run(
                [python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    raise Missing(f"no python3 here has {module}")


def _asyncio(loop):
    def make():
        # Both use the same interpreter, so that they differ only in the event loop.
        try:
            python = _python("uvloop")
        except Missing:
            if loop == "uvloop":
                raise
            python = sys.executable
        version = _output(python, "--version")
        if loop == "uvloop":
            version = f"uvloop {_output(python, '-c', 'import uvloop; print(uvloop.__version__)')}, {version}"
        return Built([python, peers / "Python/server.py", loop], version)
    return make


def _node():
    node = _need("node", "nodejs")
    return Built([node, peers / "Node/server.js"], f"node {_output(node, '--version')}")


YARDSTICK = "c"
FIN = Peer("fin", "Fin", _fin())
PEERS = [
    Peer("c", "C, epoll, no library", _c),
    FIN,
    Peer("nio", "SwiftNIO, channel handlers", _swift_peer("nio", "swift-nio")),
    Peer("nio-async", "SwiftNIO, NIOAsyncChannel", _swift_peer("nio-async", "swift-nio")),
    Peer("flyingsocks", "FlyingSocks", _swift_peer("flyingsocks", "flyingfox")),
    Peer("tokio", "tokio", _tokio),
    Peer("go", "Go net", _go),
    Peer("node", "node net", _node),
    Peer("uvloop", "asyncio on uvloop", _asyncio("uvloop")),
    Peer("asyncio", "asyncio", _asyncio("asyncio")),
]

# Fin with other options than the defaults. Each is measured in the workloads where it makes a difference, and in every
# workload when it is named on the command line.
VARIANTS = [
    Peer("fin-deadlines", "Fin, a deadline for each call", _fin("--within", "30"), ("ping-64",)),
    Peer("fin-no-timeouts", "Fin, no timeouts at all", _fin("--no-timeouts"), ("ping-64",)),
    Peer("fin-confirmed", "Fin, closing confirmed", _fin("--closing", "confirmed"), ("churn",)),
    Peer("fin-lingering", "Fin, closing lingering", _fin("--closing", "lingering"), ("churn",)),
    # Holds no buffer while it waits.
    Peer("fin-arrays", "Fin, receiving arrays", _fin("--arrays"), ("idle",)),
    # Measured only when it is named: a real server would not do this.
    Peer("fin-main-actor", "Fin, on the main actor", _fin("--main-actor"), ()),
]
