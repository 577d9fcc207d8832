"""Shared code of the scenes. A scene makes its situation, prints "ready", keeps it until EOF of its input, exits."""
import os, select, socket, struct, sys, threading, time

ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT = 1, 4, 5, 6, 7, 8
LIMIT = 20


def info(s):
    """The kernel's struct tcp_info, padded for old kernels."""
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 280).ljust(280, b"\0")


def state(s):
    return info(s)[0]


def until(what, condition):
    """Polls until a condition of the kernel's state holds, for which there is no event."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit("the scene did not come about: " + what)
        time.sleep(0.001)


def reach(s, wanted):
    until("state %d" % wanted, lambda: state(s) == wanted)


def states():
    """The state of every IPv4 TCP socket of this network, including those without a descriptor."""
    return [int(line.split()[3], 16) for line in open("/proc/thread-self/net/tcp").readlines()[1:]]


def rest(count):
    """Waits for `count` sockets in TIME-WAIT: when close returns, the second FIN is still in flight."""
    until("%d ports rest" % count, lambda: states().count(TIME_WAIT) >= count)


def queue(l, count):
    """Waits for `count` clients in the accept queue: connect may return before the connection is in it."""
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
    """A client, and the connection that the listener accepted from it."""
    c = socket.create_connection(l.getsockname(), timeout=LIMIT)
    a, _ = l.accept()
    c.settimeout(None)
    return c, a


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def fill(s):
    """Sends until the peer's receive buffer and our send buffer are full."""
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
    """The send window: the number of bytes that the peer has room for."""
    return struct.unpack_from("I", info(s), 228)[0]


def often(action, pause=0.02):
    """Performs an action once now, before the scene is ready, and then repeatedly in a thread, until the scene or its
    peers end."""
    action()

    def work():
        try:
            while True:
                time.sleep(pause)
                action()
        except ConnectionError:  # the peer has closed: the scene is over
            pass

    threading.Thread(target=work, daemon=True).start()


def stand(*words):
    """Reports that the situation is ready, with the words that the test needs, and waits for EOF of the input."""
    print("ready", *words, flush=True)
    sys.stdin.read()
    os._exit(0)


def mode(position=1, default="situation"):
    return sys.argv[position] if len(sys.argv) > position else default


def number(position, default):
    return int(sys.argv[position]) if len(sys.argv) > position else default
