"""Obstacles to a bind: binds.py SITUATION. Prints the address in question and the kernel's answers to real binds there.

The answers are those of bind and listen (only bind for datagrams): without an option, with SO_REUSEADDR, and with
SO_REUSEPORT.
"""
import errno
from stage import *

what = mode()
kept = []
DATAGRAM = what.startswith("udp")
KIND = socket.SOCK_DGRAM if DATAGRAM else socket.SOCK_STREAM
REUSE, SHARE, ONLY6 = socket.SO_REUSEADDR, socket.SO_REUSEPORT, "only6"


def make(address, port, *options, listen=None, kind=KIND):
    """Makes a bound socket, which listens unless it is a datagram socket."""
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
    """The error name of a real bind and listen, or OK; the socket is closed at once."""
    try:
        make(address, port, *options, *((ONLY6,) if only6 else ())).close()
        return "OK"
    except OSError as error:
        return errno.errorcode[error.errno]


def connected(first, *options):
    """Makes one connection, closes its listener, and returns its port.

    `first` is "nobody" (both sides stay open), "server" (the server closes) or "both" (the client closes after it).
    """
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
elif what == "client":  # connect chose the port
    l = keep(make("127.0.0.2", 0))
    c = keep(socket.create_connection(l.getsockname()))
    address, port = c.getsockname()
elif what == "dead":  # bound, connected, reset: in no kernel table, but the port is still taken
    l = keep(make("127.0.0.2", 0))
    c = keep(socket.socket())
    c.bind((address, 8123))  # a port that was bound by its number stays bound after the connection ends
    c.connect(l.getsockname())
    port = port_of(c)
    reset(l.accept()[0])
    reach(c, CLOSE)
elif what == "inherited":  # the program has closed its listener, but a child that inherited it has not
    s = make(address, 0)
    port = port_of(s)
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    s.close()
elif what == "udp-tcp":  # a TCP listener does not block a UDP bind
    port = port_of(keep(make(address, 0, kind=socket.SOCK_STREAM)))
elif what == "not-local":
    address, port = "192.0.2.7", 8080
elif what == "privileged":  # for which the program lacks permission
    port = 81
    os.setuid(65534)

answers = [attempt(address, port, only6, *options) for options in ((), (REUSE,), (SHARE,))]
print("ready", address, port, *answers, flush=True)
sys.stdin.read()
os._exit(0)
