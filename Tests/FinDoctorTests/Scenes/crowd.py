"""Many sockets that belong to no test: crowd.py COUNT [PLACE]. They are both sides of idle connections.

No test uses their addresses, and each pair of addresses has so few connections that half of the ports stay free: a bind
to any address finds a free one. Processes with different PLACE use different addresses.
"""
import resource
from stage import *

count, place = number(1, 100_000), number(2, 1)
EACH = 10_000  # connections per pair of addresses
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
while len(kept) < count:
    block = len(kept) // (2 * EACH)
    l = listener("127.%d.%d.1" % (100 + place, block))
    kept.append(l)
    for _ in range(min(EACH, (count - len(kept)) // 2)):
        c = socket.socket()
        c.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        c.bind(("127.%d.%d.2" % (100 + place, block), 0))
        c.connect(l.getsockname())
        kept += [c, l.accept()[0]]
print("ready", len(kept), flush=True)
listening = select.poll()
listening.register(1, 0)  # until the reader of its output has closed
listening.poll()
