"""The bugs that Tests/SeededBugs/run plants, one line each.

(number, what is wrong, file, text to find, text to put there, tests that must notice).

The file is under Sources/Fin, or under Sources where it begins with another target's name; None where the bug is planted
together with a neighbour, in the same line. `seeded(n)` is true while bug n is switched on. The text to find must stand in its
file exactly once. The tests are suites (`Conversation`) or single ones (`LeaksFound/known`), with | between them.
"""
from . import closing, command, differential, doctor, findings, library, limits, remembering

SEEDS = sorted(
    library.SEEDS + closing.SEEDS + limits.SEEDS + differential.SEEDS + findings.SEEDS + doctor.SEEDS
    + remembering.SEEDS + command.SEEDS,
    key=lambda seed: seed[0])

# What a run in CI tries: one for each of closing, latching, waking, birth, counting, two of a loop's, two of the doctor's.
QUICK = [1, 12, 17, 23, 28, 33, 51, 58]

SWITCH = """internal import Glibc

private let seed: Int = unsafe getenv("FIN_SEEDED_BUG").flatMap { unsafe Int(String(cString: $0)) } ?? 0

/// Whether this bug is switched on.
func seeded(_ number: Int) -> Bool { seed == number }
"""
