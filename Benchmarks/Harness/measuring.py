"""Starts a server, runs the load generator against it, and stops the server."""
import json
import os
import select
import signal
import subprocess
import tempfile
import time

from . import network


class Wrong(Exception):
    """The error of a server that did not do the work that was measured."""


def pinned(core):
    return (lambda: os.sched_setaffinity(0, {core})) if core is not None else None


class Server:
    """A server process, from its line `port N` to its end at SIGTERM."""

    def __init__(self, command, work, core, before=(), patience=20):
        self.patience = patience
        self.said = tempfile.TemporaryFile()
        words = [*before, *command, work.serve, work.buffer]
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.said,
            preexec_fn=pinned(core), env={**os.environ, "GOMAXPROCS": "1", "SWIFT_BACKTRACE": "enable=no"})
        self.pid = self.process.pid

    def __enter__(self):
        try:
            self.port = self._read_port()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._kill()
            status = f"none within {self.patience} s of SIGTERM"
        self.process.stdout.close()
        said = self.last_words()
        if kind is None and (status not in (0, -signal.SIGTERM, 128 + signal.SIGTERM) or said):
            raise Wrong(f"the server's status: {status}" + (f"; it said: {said}" if said else ""))

    def _read_port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], self.patience)
        line = self.process.stdout.readline().decode().split() if ready else []
        if len(line) != 2 or line[0] != "port":
            raise Wrong(f"the server did not start: {self.last_words() or 'it printed no port'}")
        return int(line[1])

    def _kill(self):
        self.process.kill()
        self.process.wait()

    def last_words(self):
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def run_load(load, work, server, core, *more, patience=120):
    words = [load, work.load, "--port", server.port, "--server", server.pid, *work.options, *more]
    try:
        done = subprocess.run(
            [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience,
            preexec_fn=pinned(core))
    except subprocess.TimeoutExpired:
        raise Wrong(f"the load did not end within {patience} s")
    if done.returncode != 0:
        said = server.last_words()
        raise Wrong((done.stderr.strip() or f"load: status {done.returncode}") + (f"; server: {said}" if said else ""))
    return json.loads(done.stdout)


def measure(load, work, command, cores, warm_up, duration):
    """Measures one server with one workload in one round; returns the load generator's figures."""
    network.renew()
    with Server(command, work, cores.server) as server:
        more = [] if work.is_idle else ["--warm-up", warm_up, "--measure", duration]
        return run_load(load, work, server, cores.load, *more)


def measure_close(command):
    """Runs one round of the close times, which the Fin server measures itself. Returns {policy: figures}."""
    network.renew()
    try:
        done = subprocess.run(
            [*map(str, command), "close"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Wrong("the closes did not end within 2 minutes")
    if done.returncode != 0 or done.stderr:
        raise Wrong(done.stderr.strip() or f"status {done.returncode}")
    return json.loads(done.stdout)


def count_syscalls(load, work, command, cores):
    """Returns the server's system calls per operation, by name. They are the difference between a long and a short run
    under strace, so that the server's start and end are not counted."""
    few, many = 2000, 8000
    counts = []
    for operations in (few, many):
        network.renew()
        with tempfile.NamedTemporaryFile("r", suffix=".strace") as table:
            # -D: the server is our child, and strace is the server's child.
            with Server(command, work, cores.server, ["strace", "-D", "-f", "-qq", "-c", "-o", table.name]) as server:
                run_load(load, work, server, cores.load, "--exactly", operations)
            counts.append(_read_strace(table))
    short, long = counts
    per = {name: (long[name] - short.get(name, 0)) / (many - few) for name in long}
    return {name: value for name, value in sorted(per.items(), key=lambda item: -item[1]) if value >= 0.0005}


def _read_strace(table):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        table.seek(0)
        lines = [line.split() for line in table.read().splitlines()]
        if any(line and line[-1] == "total" for line in lines):
            rows = [line for line in lines if len(line) >= 5 and line[3].isdigit() and line[-1] != "total"]
            return {row[-1]: int(row[3]) for row in rows}
        time.sleep(0.05)
    raise Wrong("strace printed no table")
