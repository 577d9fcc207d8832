"""What stands in the way of a bind: binds.py SITUATION. Says the address to ask about, and what the kernel answers to real binds there.

The answers are those of bind and listen (of bind, for datagrams): without an option, with SO_REUSEADDR, with SO_REUSEPORT.
"""
import errno
from stage import *

what = mode()
kept = []
DATAGRAM = what.startswith("udp")
KIND = socket.SOCK_DGRAM if DATAGRAM else socket.SOCK_STREAM
REUSE, SHARE, ONLY6 = socket.SO_REUSEADDR, socket.SO_REUSEPORT, "only6"


def make(address, port, *options, listen=None, kind=KIND):
    """A socket that is bound, and listens unless it is one of datagrams."""
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if ":" in address:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if ONLY6 in options else 0)
    for option in options:
        if option != ONLY6:
            s.setsockopt(socket.SOL_SOCKET, option, 1)
    s.bind((address, port))
    if listen if listen is not None else kind == socket.SOCK_STREAM:
        s.listen(8)
    return s


def keep(s):
    kept.append(s)
    return s


def port_of(s):
    return s.getsockname()[1]


def attempt(address, port, only6, *options):
    """The name of what a real bind and listen say; the socket is closed at once."""
    try:
        make(address, port, *options, *((ONLY6,) if only6 else ())).close()
        return "OK"
    except OSError as error:
        return errno.errorcode[error.errno]


def connected(first, *options):
    """One connection without its listener, and its port; the server's end is closed first, and the client's after it, or not."""
    l = make("127.0.0.1", 0, *options)
    port = port_of(l)
    c, a = pair(l)
    l.close()
    kept.append(c)
    if first == "nobody":
        kept.append(a)
        return port
    a.close()
    assert c.recv(1) == b""
    if first == "both":
        c.close()
        rest(1)
    return port


address, only6, port = "127.0.0.1", False, None
if what == "free":
    s = make(address, 0)
    port = port_of(s)
    s.close()
elif what in ("listens", "udp-bound"):
    port = port_of(keep(make(address, 0)))
elif what in ("listens-reuse", "udp-reuse"):
    port = port_of(keep(make(address, 0, REUSE)))
elif what in ("listens-share", "udp-share"):
    port = port_of(keep(make(address, 0, SHARE)))
elif what == "listens-everywhere":
    port = port_of(keep(make("0.0.0.0", 0, REUSE)))
elif what in ("listens-elsewhere", "udp-elsewhere"):
    port = port_of(keep(make("127.0.0.2", 0)))
elif what == "asked-everywhere":
    port, address = port_of(keep(make("127.0.0.2", 0))), "0.0.0.0"
elif what == "listens-dual":
    port = port_of(keep(make("::", 0)))
elif what == "listens-only6":
    port = port_of(keep(make("::", 0, ONLY6)))
elif what == "asked-dual":
    port, address = port_of(keep(make("127.0.0.1", 0))), "::"
elif what == "asked-only6":
    port, address, only6 = port_of(keep(make("127.0.0.1", 0))), "::", True
elif what == "dual-against-one6":
    port, address = port_of(keep(make("::1", 0))), "::"
elif what == "mapped":
    port, address = port_of(keep(make("127.0.0.1", 0))), "::ffff:127.0.0.1"
elif what == "six-against-four":
    port, address = port_of(keep(make("127.0.0.1", 0))), "::1"
elif what == "bound":
    port = port_of(keep(make(address, 0, listen=False)))
elif what == "bound-reuse":
    port = port_of(keep(make(address, 0, REUSE, listen=False)))
elif what == "rests":
    port = connected("both")
elif what == "rests-reuse":
    port = connected("both", REUSE)
elif what == "half":
    port = connected("server")
elif what == "half-reuse":
    port = connected("server", REUSE)
elif what == "connected":
    port = connected("nobody")
elif what == "connected-reuse":
    port = connected("nobody", REUSE)
elif what == "client":  # the port is one that connect chose
    l = keep(make("127.0.0.2", 0))
    c = keep(socket.create_connection(l.getsockname()))
    address, port = c.getsockname()
elif what == "dead":  # bound, connected, reset: no table lists a connection, and the port is still taken
    l = keep(make("127.0.0.2", 0))
    c = keep(socket.socket())
    c.bind((address, 8123))  # a port that was asked for by its number stays bound when the connection goes
    c.connect(l.getsockname())
    port = port_of(c)
    reset(l.accept()[0])
    reach(c, CLOSE)
elif what == "inherited":  # the program has closed its listener; a child that knows nothing of it has not
    s = make(address, 0)
    port = port_of(s)
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    s.close()
elif what == "udp-tcp":  # a listener is in no datagram's way
    port = port_of(keep(make(address, 0, kind=socket.SOCK_STREAM)))
elif what == "not-local":
    address, port = "192.0.2.7", 8080
elif what == "privileged":  # and the program may not
    port = 81
    os.setuid(65534)

answers = [attempt(address, port, only6, *options) for options in ((), (REUSE,), (SHARE,))]
print("ready", address, port, *answers, flush=True)
sys.stdin.read()
os._exit(0)
