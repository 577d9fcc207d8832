"""Connections closed with data that the peer does not take: orphans.py MODE COUNT."""
from stage import *

what, count = mode(), number(2, 3)
l = listener(receive_buffer=8192)
kept = [l]
for _ in range(count):
    c, a = pair(l)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    if what == "situation":
        fill(c)
        kept.append(a)
        c.close()
    else:  # not reported: the peer took everything
        c.send(b"z" * 1000)
        c.close()
        while a.recv(65536):
            pass
        a.close()
if what != "situation":
    rest(count)
stand(l.getsockname()[1])
