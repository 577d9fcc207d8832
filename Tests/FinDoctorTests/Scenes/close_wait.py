"""The peer has closed and the program keeps its socket: close_wait.py MODE COUNT. Each mode is another reason."""
from stage import *

what, count = mode(), number(2, 12)
l = listener()
kept = [l]
epoll = select.epoll()
for _ in range(count):
    c, a = pair(l)
    kept.append(a)
    if what in ("known", "growing"):  # reads EOF and keeps the descriptor
        c.close()
        assert a.recv(1) == b""
    elif what == "forgotten":  # not watched at all
        c.close()
    elif what == "masked":  # in an epoll set, but not for an event that would show EOF
        epoll.register(a, select.EPOLLOUT | select.EPOLLET)
        c.close()
    elif what == "watched":  # in an epoll set for EPOLLIN, but the event loop does not run
        epoll.register(a, select.EPOLLIN)
        c.close()
    elif what == "unread":  # with an unread request before EOF
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        c.close()
    elif what == "blocked":  # a thread is blocked in send on it
        kept.append(c)
        c.shutdown(socket.SHUT_WR)
        fill(a)
        a.setblocking(True)
        threading.Thread(target=a.send, args=(b"z" * 65536,), daemon=True).start()
    elif what == "polled":  # a thread is in poll on it, but not for an event that would show EOF
        c.close()
    elif what == "replying":  # not accused: the peer has only finished sending its request
        kept.append(c)
        c.shutdown(socket.SHUT_WR)
        assert a.recv(1) == b""
        often(lambda a=a, c=c: (a.send(b"more"), c.recv(100)))
    elif what == "closed":  # not reported: closes at EOF
        c.close()
        assert a.recv(1) == b""
        a.close()
        kept.pop()
    elif what == "open":  # not reported: both sides are open
        kept.append(c)
    if what not in ("closed", "open"):
        reach(a, CLOSE_WAIT)
if what == "growing":  # like "known", with one more connection from time to time

    def one():
        c, a = pair(l)
        kept.append(a)
        c.close()
        assert a.recv(1) == b""

    often(one, 0.05)
if what == "closed":
    rest(count)
if what == "replying":  # sent after EOF, and not in the same millisecond
    sent, received = ((lambda a, at=at: struct.unpack_from("I", info(a), at)[0]) for at in (44, 52))
    until("each has replied since", lambda: all(sent(a) < received(a) for a in kept[1::2]))
if what == "blocked":
    calls = ("44", "206")  # sendto
    inside = lambda t: open("/proc/self/task/%s/syscall" % t).read().split()[0] in calls
    until("all threads wait", lambda: sum(inside(t) for t in os.listdir("/proc/self/task")) == count)
if what == "polled":
    polling = select.poll()
    for a in kept[1:]:
        polling.register(a, select.POLLPRI)
    threading.Thread(target=polling.poll, daemon=True).start()
    tasks = "/proc/self/task/"
    until("a thread in poll", lambda: any("poll" in open(tasks + t + "/wchan").read() for t in os.listdir(tasks)))
stand(l.getsockname()[1])
