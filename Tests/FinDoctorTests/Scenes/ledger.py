"""A program that publishes a ledger of its sockets, or an invalid file by that name:
ledger.py SITUATION COUNT PHASE PURPOSE SECONDS INPUT OUTPUT

PURPOSE, the declared intent, holds for SECONDS from now on. INPUT and OUTPUT are the ends of waits, in seconds from
now; 0 for none, "ever" for no end. Written after the description of the layout, without any code of Fin."""
from stage import *

what, count, phase, purpose = mode(), number(2, 3), number(3, 6), number(4, 0)
NAME = b"Server/Handler.swift"


def at(position):
    word = mode(position, "0")
    if word == "ever":
        return (1 << 64) - 1
    return 0 if word == "0" else time.monotonic_ns() + int(float(word) * 1e9)


def cookie(s):
    return struct.unpack("Q", s.getsockopt(socket.SOL_SOCKET, 57, 8))[0]


def header(records, version=1, size=128, magic=b"fin-ldgr", used=None):
    used = records if used is None else used
    return struct.pack("=8sIIIIQQQ", magic, version, 128, size, os.getpid(), used, used, 0).ljust(128, b"\0")


def record(cookie, descriptor, line, name=NAME, sequence=2):
    return struct.pack(
        "=QQIIQQQQIBBBB64s", sequence, cookie, line, descriptor, time.monotonic_ns(), at(6), at(7), at(5), line, 3, phase,
        purpose, len(name), name)


def publish(content):
    file = os.memfd_create("fin-ledger")
    os.write(file, content)
    return file


l = listener(receive_buffer=16384)
kept, mine = [l], []
situation = what if what in ("known", "forgotten", "unread", "half", "full") else "known"
for _ in range(count):
    c, a = pair(l)
    kept.append(a)
    mine.append(c if situation == "half" else a)
    if situation == "half":
        kept.append(c)
        c.shutdown(socket.SHUT_WR)
        reach(c, FIN_WAIT2)
    elif situation == "full":
        kept.append(c)
        fill(c)
        until("a zero window", lambda: window(c) == 0)
    else:
        if situation == "unread":
            c.send(b"GET / HTTP/1.1\r\n\r\n")
        c.close()
        if situation == "known":
            assert a.recv(1) == b""
        reach(a, CLOSE_WAIT)

records = b"".join(record(cookie(s), s.fileno(), 112 if n else 7) for n, s in enumerate(mine))
if what == "forged":  # a child that holds none of the sockets declares them intended
    published, publishes = os.pipe()
    child = os.fork()
    if child == 0:
        for s in kept:
            s.close()
        publish(header(count) + records)
        os.write(publishes, b".")
        sys.stdin.read()
        os._exit(0)
    assert os.read(published, 1) == b"."
elif what == "stale":  # records of sockets that had these descriptors before
    publish(header(count) + b"".join(record(cookie(s) + 100_000, s.fileno(), 112) for s in mine))
elif what == "inherited":  # written by the parent; this process has an inherited copy
    file = publish(header(count) + records)
    os.pwrite(file, struct.pack("=I", os.getpid() + 1), 20)
elif what == "version":
    publish(header(count, version=7) + records)
elif what == "foreign":
    publish(header(count, magic=b"whatever") + records)
elif what == "absurd":
    publish(header(count, size=7) + records)
elif what == "huge":  # a sparse terabyte, with an impossible number of records
    file = publish(header(count, used=1 << 62) + records)
    os.ftruncate(file, 1 << 40)
elif what == "short":  # ends in the middle of a record
    file = publish(header(count, used=1000) + records)
    os.ftruncate(file, 128 + 128 * count - 60)
elif what == "moving":  # always being changed: an odd sequence number
    publish(header(count) + b"".join(record(cookie(s), s.fileno(), 112, sequence=3) for s in mine))
elif what == "escapes":
    publish(header(count) + b"".join(record(cookie(s), s.fileno(), 1, b"\x1b[31m\nA\xe2\x80\xae/B\xff.swift") for s in mine))
elif what == "many":  # the first is used, and only some are read
    for n in range(20):
        publish(header(count) + records)
else:
    publish(header(count) + records)
stand(*[s.fileno() for s in mine])
