"""A UDP socket and its senders: datagram_drops.py MODE."""
from stage import *

what = mode()
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r.bind(("127.0.0.1", 0))
r.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.connect(r.getsockname())


def flood(count):
    for _ in range(count):
        c.send(b"x" * 100)


def drain():
    r.setblocking(False)
    try:
        while True:
            r.recv(100)
    except BlockingIOError:
        pass


if what == "flood":  # nothing reads, and datagrams keep coming
    often(lambda: flood(50))
elif what == "burst":  # was full once, and is read now
    flood(100)
    drain()
elif what == "read":  # not reported: each datagram is read

    def exchange():
        c.send(b"x")
        r.recv(100)

    often(exchange, 0.002)
stand(r.getsockname()[1], r.fileno())
