"""The workloads. A work is one way of using a server; its figures are per operation."""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    operation: str
    # The server's arguments: its mode, and the number of bytes to read at a time, for servers that choose it.
    serve: str
    buffer: int
    # The load generator's arguments.
    load: str
    options: tuple

    @property
    def is_idle(self):
        return self.load == "idle"

    def quick(self):
        """Returns a smaller version of this work, for `--quick`."""
        if not self.is_idle:
            return self
        return replace(self, title="2,000 connections that say nothing", options=("--connections", 2000, "--size", 64))


def _ping(name, title, connections, size, buffer):
    return Work(name, title, "round trip", "echo", buffer, "ping", ("--connections", connections, "--size", size))


WORKS = [
    _ping("ping-1", "64 bytes there and back, 1 connection", 1, 64, 4096),
    _ping("ping-64", "64 bytes there and back, 64 connections", 64, 64, 4096),
    _ping("ping-512", "64 bytes there and back, 512 connections", 512, 64, 4096),
    _ping("ping-16k", "16 KiB there and back, 64 connections", 64, 16384, 65536),
    Work(
        "churn", "connect, 64 bytes there and back, close; 16 at a time", "connection", "echo", 4096, "churn",
        ("--connections", 16, "--size", 64, "--at-most", 40000)),
    Work(
        "stream", "one way: the server receives and throws away", "MiB", "count", 65536, "stream",
        ("--size", 64 << 20)),
    Work(
        "idle", "10,000 connections that say nothing", "connection", "echo", 4096, "idle",
        ("--connections", 10000, "--size", 64)),
]

# Only for Fin: other servers do not report when a close is over.
CLOSE = Work("close", "from the call of close to its report, Fin to Fin on loopback", "close", "close", 0, "close", ())
