"""A client with connections to many hosts of one port: crawler.py MODE HOSTS."""
from stage import *

what, hosts = mode(), number(2, 20)
if what == "unanswered":  # attempts to connect to hosts of 10.98.0.0/16 that do not answer
    kept = [socket.socket() for _ in range(hosts)]
    for i, s in enumerate(kept):
        s.setblocking(False)
        s.connect_ex(("10.98.%d.%d" % (i // 250, i % 250 + 1), 80))
    stand(80)
l = listener("0.0.0.0")
port = l.getsockname()[1]
kept = []
others = 0


def host():
    """Connects to a host that no connection goes to yet; the host closes."""
    global others
    others += 1
    c = socket.create_connection(("127.1.%d.%d" % (others // 250, others % 250 + 1), port), timeout=LIMIT)
    a, _ = l.accept()
    a.close()
    assert c.recv(1) == b""
    reach(c, CLOSE_WAIT)
    if what == "closing":  # not reported: closes at EOF
        c.close()
    else:
        kept.append(c)


for _ in range(hosts):
    host()
if what == "growing":
    often(host, 0.05)
stand(port)
