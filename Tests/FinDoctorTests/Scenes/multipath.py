"""MPTCP connections: multipath.py MODE COUNT. Every mode has COUNT of them, each with two subflows if possible."""
import subprocess
from stage import *

what, count = mode(), number(2, 3)
MPTCP = 262


def mptcp():
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
    except OSError:
        print("missing MPTCP", flush=True)
        os._exit(0)


ip = next((p for p in ("/sbin/ip", "/usr/sbin/ip", "/bin/ip", "/usr/bin/ip") if os.path.exists(p)), None)
if ip and what not in ("plain", "over"):
    subprocess.run([ip, "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"], stderr=subprocess.DEVNULL)
    subprocess.run([ip, "mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow"], stderr=subprocess.DEVNULL)

def heard(s):
    """Waits for the peer's end, which the kernel processes asynchronously on both sides of an MPTCP connection."""
    polling = select.poll()
    polling.register(s, select.POLLRDHUP)
    assert polling.poll(1000 * LIMIT), "the end was not heard of"


l = socket.socket() if what in ("plain", "over") else mptcp()
l.bind(("127.0.0.1", 0))
l.listen(64)
kept = [l]
# The first dump that lists the listener gives it a cookie, and the connections that it accepts inherit it.
for ss in ("/bin/ss", "/usr/bin/ss", "/sbin/ss", "/usr/sbin/ss"):
    if os.path.exists(ss):
        subprocess.run([ss, "-Mane"], stdout=subprocess.DEVNULL)
        break
for _ in range(count):
    c = mptcp()
    c.connect(l.getsockname())
    if what == "queue":
        kept.append(c)
        continue
    a, _ = l.accept()
    # The program sends first and receives last: one that sent after it received may still be answering.
    a.sendall(b"xyz")
    assert c.recv(3) == b"xyz"
    c.sendall(b"abc")
    assert a.recv(3) == b"abc"
    if what in ("known", "unread"):  # the client closes, and the program keeps its side
        if what == "unread":
            c.sendall(b"more")
        c.close()
        heard(a)
        kept.append(a)
    elif what == "plain":  # the other side has no MPTCP and closes; the client keeps its side
        a.close()
        assert c.recv(1) == b""
        kept.append(c)
    elif what == "over":  # the other side resets
        reset(a)
        until("the reset", lambda: c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0)
        kept.append(c)
    elif what == "half":  # the program has finished sending, and the client has not
        a.shutdown(socket.SHUT_WR)
        heard(c)
        kept += [a, c]
    elif what == "ended":  # not reported: the program closes too
        c.close()
        assert a.recv(1) == b""
        a.close()
    else:  # not reported: both sides are open
        kept += [a, c]
if what == "queue":
    kept.pop().close()
if what == "held":  # a child holds all of them too: more descriptors, but no more connections
    subprocess.Popen(["/bin/sleep", "1000"], close_fds=False, pass_fds=[s.fileno() for s in kept])
stand(l.getsockname()[1])
