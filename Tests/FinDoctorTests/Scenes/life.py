"""One connection whose events are recorded: life.py MODE. Each step has the monotonic time before and after it.

Prints "ready", the server's descriptor, the client's, and NAME:BEFORE:AFTER for each step, in nanoseconds.
"""
from stage import *

what = mode()
steps = []


def step(name, action, pause=0.15):
    before = time.monotonic_ns()
    result = action()
    steps.append("%s:%d:%d" % (name, before, time.monotonic_ns()))
    time.sleep(pause)
    return result


if what == "unix":  # a pair with a process on each side
    one, two = socket.socketpair()
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        one.close()
        os.write(say, b"x")
        sys.stdin.read()
        os._exit(0)
    two.close()
    os.read(said, 1)
    stand(one.fileno(), child)

if what == "connecting":  # the handshake is never accepted: the accept queue is full and stays so
    l = listener(backlog=0)
    first = socket.create_connection(l.getsockname())
    c = socket.socket()
    began = time.monotonic_ns()
    failed = []

    def connect():
        code = c.connect_ex(l.getsockname())
        print(time.monotonic_ns(), code, flush=True)

    threading.Thread(target=connect, daemon=True).start()
    until("the second try", lambda: struct.unpack_from("B", info(c), 2)[0] >= 1)
    stand(l.fileno(), c.fileno(), "asked:%d:%d" % (began, began))

if what == "clients":  # two clients wait, the second for a shorter time
    l = listener()
    a = step("first", lambda: socket.create_connection(l.getsockname()))
    b = step("second", lambda: socket.create_connection(l.getsockname()))
    queue(l, 2)
    stand(l.fileno(), a.fileno(), *steps)

if what == "datagrams":
    a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    a.bind(("127.0.0.1", 0))
    b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    b.connect(a.getsockname())
    b.send(b"x" * 10)
    until("the datagram has come", lambda: unread(a) == 10)
    stand(a.fileno(), b.fileno())

l = listener()
c, a = step("handshake", lambda: pair(l))
if what in ("read", "unread", "finished", "rests", "open", "polled", "selected", "masked"):
    step("received", lambda: c.send(b"q" * 100))
    assert a.recv(200) == b"q" * 100
    step("sent", lambda: a.send(b"r" * 200))
    assert c.recv(300) == b"r" * 200
if what == "read":
    step("peerFinished", lambda: c.shutdown(socket.SHUT_WR))
    step("endRead", lambda: a.recv(1))
elif what == "silent":  # no byte in either direction
    step("peerFinished", lambda: c.shutdown(socket.SHUT_WR))
elif what == "unread":
    step("received", lambda: c.send(b"q" * 19))
    step("peerFinished", lambda: c.shutdown(socket.SHUT_WR))
elif what == "finished":
    step("finished", lambda: a.shutdown(socket.SHUT_WR))
elif what == "rests":
    a.close()
    assert c.recv(1) == b""
    step("rests", c.close)
    rest(1)
elif what == "polled":
    threading.Thread(target=lambda: (lambda p: (p.register(a, select.POLLIN), p.poll()))(select.poll()), daemon=True).start()
elif what == "selected":
    threading.Thread(target=lambda: select.select([a], [], []), daemon=True).start()
elif what == "masked":
    epoll = select.epoll()
    epoll.register(a, select.EPOLLOUT | select.EPOLLET)
if what in ("read", "silent", "unread"):
    reach(a, CLOSE_WAIT)
    reach(c, FIN_WAIT2)
if what == "finished":
    reach(a, FIN_WAIT2)
    reach(c, CLOSE_WAIT)
if what in ("polled", "selected"):
    calls = ("7", "23", "270", "271", "72", "73")
    inside = lambda t: open("/proc/self/task/%s/syscall" % t).read().split()[0] in calls
    until("the thread waits", lambda: any(inside(t) for t in os.listdir("/proc/self/task") if int(t) != os.getpid()))
stand(a.fileno(), c.fileno(), *steps)
