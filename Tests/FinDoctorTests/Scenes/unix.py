"""Unix sockets: unix.py MODE PATH."""
from stage import *

what, path = mode(), mode(2).replace("@", "\0")
kept = []


def server(backlog):
    l = socket.socket(socket.AF_UNIX)
    l.bind(path)
    l.listen(backlog)
    kept.append(l)
    return l


if what == "full":  # more clients wait than the backlog
    l = server(1)
    for _ in range(3):
        c = socket.socket(socket.AF_UNIX)
        c.setblocking(False)
        try:
            c.connect(path)
        except BlockingIOError:
            pass
        kept.append(c)
elif what == "gone":  # the peer has closed, and the program keeps its socket
    l = server(8)
    for _ in range(6):
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        a, _ = l.accept()
        c.close()
        kept.append(a)
elif what == "unread":
    l = server(8)
    c = socket.socket(socket.AF_UNIX)
    c.connect(path)
    a, _ = l.accept()
    fill(c)
    kept += [c, a]
elif what == "healthy":  # not reported
    l = server(8)
    for _ in range(3):
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        a, _ = l.accept()
        c.send(b"hello")
        kept += [c, a]
    x, y = socket.socketpair()
    x.shutdown(socket.SHUT_RDWR)
    kept += [*socket.socketpair(), x, y]
elif what == "waiting":  # not reported: the queue is just full
    l = server(1)
    c = socket.socket(socket.AF_UNIX)
    c.connect(path)
    kept.append(c)
stand()
