"""What is measured. A work is a way of using a server; its operation is what the figures are per."""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    operation: str
    # What the server is started with: what it does, and how many bytes it reads at a time, if it is one that chooses.
    serve: str
    buffer: int
    # What the load generator is started with.
    load: str
    options: tuple

    @property
    def is_idle(self):
        return self.load == "idle"

    def quick(self):
        """The same, smaller."""
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

# Not a work for every server: Fin alone says when a close is over.
CLOSE = Work("close", "from the call of close to its report, Fin to Fin on loopback", "close", "close", 0, "close", ())
