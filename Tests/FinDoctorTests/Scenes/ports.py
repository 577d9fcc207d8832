"""Ephemeral ports: ports.py MODE COUNT [DESTINATIONS]. The test has set a small range in this network."""
from stage import *

what, count, places = mode(), number(2, 30), number(3, 1)
if what == "draining":  # one port of the range, whose listener is closed and whose clients are not
    l = listener()
    kept = [end for _ in range(count) for end in pair(l)]
    port = l.getsockname()[1]
    l.close()
    stand(port)
if what == "accepted":  # each from a listener of its own, which is closed; bytes in both directions, and ends of file
    kept = []
    for i in range(count):
        l = listener("127.0.0.6")  # the clients are at 127.0.0.1
        c, a = pair(l)
        l.close()
        if i % 3 == 0:
            a.sendall(b"0123456789")
            c.sendall(b"01234")
        if i % 3 == 1:
            c.shutdown(socket.SHUT_WR)
            reach(a, CLOSE_WAIT)
            reach(c, FIN_WAIT2)
        kept += [c, a]
    stand(*[a.getsockname()[1] for a in kept[1::2]])
listeners = [listener() for _ in range(places)]
kept = list(listeners)
for i in range(count):
    l = listeners[i % places]
    s = socket.socket()
    if what == "bound":  # the port is unavailable for every destination
        s.bind(("127.0.0.6", 0))
    elif what == "late-bound":  # not reported: connect chooses the port
        s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        s.bind(("127.0.0.6", 0))
    s.connect(l.getsockname())
    a, _ = l.accept()
    if what == "churn":  # this side closes first, so the port is in TIME-WAIT
        s.close()
        a.recv(1)
        a.close()
    else:
        kept += [s, a]
if what == "churn":
    rest(count)
stand(*[l.getsockname()[1] for l in listeners])
