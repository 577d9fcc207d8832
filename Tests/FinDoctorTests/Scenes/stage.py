"""What the scenes share. A scene makes its situation, prints "ready", keeps it until its input ends, and goes."""
import os, select, socket, struct, sys, threading, time

ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT = 1, 4, 5, 6, 7, 8
LIMIT = 20


def info(s):
    """The kernel's struct tcp_info, padded for old kernels."""
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280).ljust(280, b"\0")


def state(s):
    return info(s)[0]


def until(what, condition):
    """Awaits a fact of the kernel that announces itself to nobody."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit("the scene did not come about: " + what)
        time.sleep(0.001)


def reach(s, wanted):
    until("state %d" % wanted, lambda: state(s) == wanted)


def states():
    """The state of every IPv4 socket of this network, those that no descriptor holds too."""
    return [int(line.split()[3], 16) for line in open("/proc/thread-self/net/tcp").readlines()[1:]]


def rest(count):
    """The second FIN is on its way when close returns; the port rests when it has come."""
    until("%d ports rest" % count, lambda: states().count(TIME_WAIT) >= count)


def queue(l, count):
    """A client's connect may return before its connection stands in the listener's queue."""
    until("%d in the queue" % count, lambda: struct.unpack_from("I", info(l), 24)[0] == count)


def unread(s):
    import fcntl, termios

    return struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0" * 4))[0]


def listener(address="127.0.0.1", port=0, backlog=4096, receive_buffer=None):
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if receive_buffer:
        l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    l.bind((address, port))
    l.listen(backlog)
    return l


def pair(l):
    """A client, and the connection that the listener has for it."""
    c = socket.create_connection(l.getsockname(), timeout=LIMIT)
    a, _ = l.accept()
    c.settimeout(None)
    return c, a


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def fill(s):
    """Sends until the peer's buffer and our own are full."""
    s.setblocking(False)
    calm = 0
    while calm < 20:
        try:
            while True:
                s.send(b"z" * 65536)
                calm = 0
        except BlockingIOError:
            calm += 1
            time.sleep(0.005)


def window(s):
    """How many bytes the peer has room for."""
    return struct.unpack_from("I", info(s), 228)[0]


def often(action, pause=0.02):
    """Does something here and now, so that a scene that is ready has done it, and then again and again in a thread for as
    long as the scene stands and its peers do."""
    action()

    def work():
        try:
            while True:
                time.sleep(pause)
                action()
        except ConnectionError:  # the peer has ended: the scene is over
            pass

    threading.Thread(target=work, daemon=True).start()


def stand(*words):
    """The situation is there, as the kernel says: tells the test, with what it wants to know, and waits for the end."""
    print("ready", *words, flush=True)
    sys.stdin.read()
    os._exit(0)


def mode(position=1, default="situation"):
    return sys.argv[position] if len(sys.argv) > position else default


def number(position, default):
    return int(sys.argv[position]) if len(sys.argv) > position else default
