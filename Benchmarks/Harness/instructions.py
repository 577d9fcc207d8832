"""Counts a server's instructions in user space, and its allocations, per operation, under valgrind's callgrind.

The counts are the difference between a long and a short run, so that the server's start and end are not counted. No
clock is involved: a busy machine changes how events come together, and little else.
"""
import collections
import pathlib
import re
import subprocess
import tempfile
from dataclasses import dataclass

from . import network
from .measuring import Server, Wrong, run_load

# Valgrind makes a server about fifty times as slow.
PATIENCE = 120
FEW, MANY = 1000, 5000
# The functions of the C library that hand out memory, which may call each other.
ALLOCATORS = {"malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "_mid_memalign"}


@dataclass(frozen=True)
class Counts:
    """What one run cost: instructions by function, and the calls of the C library's allocators from outside it."""
    instructions: dict
    allocations: int

    @property
    def total(self):
        return sum(self.instructions.values())


@dataclass(frozen=True)
class PerOperation:
    instructions: float
    allocations: float
    functions: dict


def read_profile(text):
    """Reads a file that callgrind wrote. Raises Wrong if its parts do not add up to its total."""
    names = {}
    instructions = collections.Counter()
    allocations = 0
    function = called = total = None
    is_call = False
    for line in text.splitlines():
        head, _, rest = line.partition("=")
        if head in ("fn", "cfn"):
            number, _, name = rest.partition(" ")
            name = names.setdefault(number, name) if name else names[number]
            if head == "fn":
                function = name
            else:
                called = name
        elif head == "calls":
            is_call = True
            if plain(called) in ALLOCATORS and plain(function) not in ALLOCATORS:
                allocations += int(rest.split()[0])
        elif line.startswith(("summary:", "totals:")):
            total = int(line.split()[1])
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            # After a line of calls comes their inclusive cost, which is counted where it arises.
            if not is_call and function is not None:
                instructions[function] += int(line.split()[1])
            is_call = False
    if not total or sum(instructions.values()) != total:
        raise Wrong(f"callgrind's total is {total}, and its functions have {sum(instructions.values())}")
    return Counts(dict(instructions), allocations)


def plain(name):
    """A function's name without the version of its symbol, and without callgrind's mark of a recursion."""
    return re.sub(r"@@.*|\.constprop\.\d+|'\d+$", "", name)


def readable(program, place):
    """A copy of a program that valgrind 3.19 can read: it ends at the debug information of today's compilers."""
    copy = pathlib.Path(place, pathlib.Path(program).name)
    try:
        done = subprocess.run(["strip", "--strip-debug", "-o", copy, program], capture_output=True, text=True)
    except FileNotFoundError:
        raise Wrong("strip, of binutils, is not installed")
    if done.returncode != 0:
        raise Wrong(done.stderr.strip())
    return copy


def count_once(load, work, command, cores, operations):
    network.renew()
    with tempfile.NamedTemporaryFile("r", suffix=".callgrind") as out:
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--log-file=/dev/null", f"--callgrind-out-file={out.name}"]
        with Server(command, work, cores.server, valgrind, PATIENCE) as server:
            # The load ends itself a minute after the time that it was to measure.
            run_load(
                load, work, server, cores.load, "--exactly", operations, "--measure", 1000 * PATIENCE,
                patience=2 * PATIENCE)
        return read_profile(out.read())


def count_instructions(load, work, command, cores):
    """Returns a server's counts per operation of a work."""
    with tempfile.TemporaryDirectory() as place:
        command = [readable(command[0], place), *command[1:]]
        short, long = (count_once(load, work, command, cores, operations) for operations in (FEW, MANY))
    functions = {
        name: (count - short.instructions.get(name, 0)) / (MANY - FEW) for name, count in long.instructions.items()}
    return PerOperation(
        (long.total - short.total) / (MANY - FEW), max(0, long.allocations - short.allocations) / (MANY - FEW),
        dict(sorted(functions.items(), key=lambda item: -item[1])))


def demangled(names):
    """The names of Swift's functions as a person reads them, where the toolchain has the program for it."""
    try:
        done = subprocess.run(
            ["swift", "demangle", "--compact", "--simplified"], input="\n".join(names), capture_output=True, text=True)
    except FileNotFoundError:
        return list(names)
    lines = done.stdout.splitlines()
    return lines if len(lines) == len(names) else list(names)
