"""Sockets to be destroyed: kill.py [ADDRESS]. Prints the ports of two connections and two UDP sockets, and
descriptors.

Each line of the input is a command for one socket, `client`, `server`, `client2`, `server2`, `udp` or `ubound`: its
name alone prints the result of recv; `wait NAME` waits for input first; `error NAME` prints SO_ERROR; `close NAME`
closes it.
"""
import errno
from stage import *

address = mode(1, "127.0.0.1")
family = socket.AF_INET6 if ":" in address else socket.AF_INET
l = socket.socket(family)
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind((address if not address.startswith("::ffff") else "::", 0))
l.listen(16)


def connect():
    c = socket.socket(family)
    c.connect((address, l.getsockname()[1]))
    a, _ = l.accept()
    return c, a


sockets = dict(zip(("client", "server"), connect()))
sockets.update(zip(("client2", "server2"), connect()))
u = socket.socket(family, socket.SOCK_DGRAM)
u.bind((address, 0))
v = socket.socket(family, socket.SOCK_DGRAM)
v.connect(u.getsockname())
sockets.update(udp=v, ubound=u)
for s in sockets.values():
    s.setblocking(False)
ports = [s.getsockname()[1] for s in (l, sockets["client"], sockets["client2"], u, v)]
descriptors = [s.fileno() for s in (l, sockets["client"], sockets["server"])]
print("ready", *ports, *descriptors, flush=True)
for line in sys.stdin:
    words = line.split()
    s = sockets[words[-1]]
    try:
        if words[0] == "close":
            s.close()
            print("closed", flush=True)
        elif words[0] == "error":
            code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            print(errno.errorcode.get(code, "nothing"), flush=True)
        else:
            # "wait" waits for input; a bare name receives what is available now.
            if words[0] == "wait":
                select.select([s], [], [], LIMIT)
            data = s.recv(1)
            print("end" if data == b"" else "data", flush=True)
    except BlockingIOError:
        print("nothing", flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
os._exit(0)
