"""A program that has shut down its side and waits for the peer without a timeout: half_closed.py MODE COUNT."""
from stage import *

what, count = mode(), number(2, 12)
l = listener()
kept = [l]
for _ in range(count):
    c, a = pair(l)
    kept += [c, a]
    if what == "keepalive":  # not reported: keepalive probes the peer
        c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    c.shutdown(socket.SHUT_WR)
    reach(c, FIN_WAIT2)
    if what == "answered":  # not reported: the peer still sends
        often(lambda a=a, c=c: (a.send(b"more"), c.recv(100)))
stand(l.getsockname()[1])
