"""A listener and its accept queue: accepting.py MODE BACKLOG CLIENTS. The clients run in a child process."""
import resource
from stage import *

what, backlog, count = mode(), number(2, 2), number(3, 8)
l = listener(backlog=backlog)
told, tell = os.pipe()
said, say = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    l_name = l.getsockname()
    l.close()
    kept = []
    for i in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(l_name)
        kept.append(s)
    if what == "given-up":
        for s in kept:
            select.select([], [s], [], LIMIT)
            s.close()
    os.write(say, b"x")
    os.read(told, 1)
    os._exit(0)
os.close(told)
kept = []


def accept_all():
    while True:
        kept.append(l.accept()[0])


def use_up_descriptors():
    """Lowers the limit to the numbers in use, and fills the free numbers below it."""
    soft = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
    used = []
    try:
        while True:
            used.append(os.dup(0))
    except OSError:
        return used


if what == "accepts":  # not reported: accepts every client at once
    threading.Thread(target=accept_all, daemon=True).start()
elif what == "no-descriptors":  # at the limit, in an endless loop that gets EMFILE
    kept += use_up_descriptors()

    def try_to_accept():
        try:
            kept.append(l.accept()[0])
        except OSError:
            pass

    often(try_to_accept, 0.01)
elif what == "last-descriptor":  # not at the limit: one descriptor is left
    os.close(use_up_descriptors()[0])
elif what == "busy":  # accepts one client and no more
    kept.append(l.accept()[0])
os.read(said, 1)
port = l.getsockname()[1]
if what == "accepts":
    until("all were accepted", lambda: len(kept) == count)
else:
    queue(l, min(count - (what == "busy"), backlog + 1))
if what == "given-up":
    until("all have given up", lambda: states().count(CLOSE_WAIT) == count)
print("ready", port, child, flush=True)
sys.stdin.read()
os.close(tell)
os.waitpid(child, 0)
os._exit(0)
