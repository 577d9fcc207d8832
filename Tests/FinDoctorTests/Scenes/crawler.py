"""A client with connections to many hosts of one port: crawler.py MODE HOSTS."""
from stage import *

what, hosts = mode(), number(2, 20)
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
