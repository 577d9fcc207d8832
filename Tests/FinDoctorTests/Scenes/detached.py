"""Descriptors of sockets in no kernel table: detached.py MODE COUNT."""
from stage import *

what, count = mode(), number(2, 8)
l = listener()
kept = [l]
for _ in range(count):
    if what in ("reset", "growing"):  # the peer has reset, and the descriptor is kept
        c, a = pair(l)
        reset(c)
        reach(a, CLOSE)
        kept.append(a)
    elif what == "refused":
        s = socket.socket()
        assert s.connect_ex(("127.0.0.1", 1)) != 0
        kept.append(s)
    elif what in ("unused", "late"):  # never connected, or not yet
        kept.append(socket.socket())
    elif what == "others":  # not reported: sockets of other protocols than TCP
        kept.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        kept.extend(socket.socketpair())
        u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        u.bind(("127.0.0.1", 0))
        kept += [u, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
if what == "growing":

    def one():
        c, a = pair(l)
        reset(c)
        reach(a, CLOSE)
        kept.append(a)

    often(one, 0.05)
if what == "busy":  # not accused: always between socket() and connect()

    def once():
        s = [socket.socket() for _ in range(count)]
        for x in s:
            x.connect(l.getsockname())
            l.accept()[0].close()
            reset(x)

    often(once, 0)
if what == "kinds":  # three in no kernel table, then three in one
    c, a = pair(l)
    gone, survivor = pair(l)
    reset(gone)
    reach(survivor, CLOSE)
    bare, datagrams = socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    kept += [survivor, bare, datagrams, c, a]
    stand(*(os.fstat(s.fileno()).st_ino for s in (survivor, bare, datagrams, l, c, a)))
elif what == "late":  # connects on the first line of input
    print("ready", flush=True)
    sys.stdin.readline()
    for s in kept[1:]:
        s.connect(l.getsockname())
    print("connected", flush=True)
    sys.stdin.read()
    os._exit(0)
else:
    stand(l.getsockname()[1])
