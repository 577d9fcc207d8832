"""A socket that another program holds too: inherited.py MODE."""
import subprocess
from stage import *

what = mode()
l = listener()
kept = [l]
child = None
if what == "connection":  # the peer closes; this program and a child still hold the socket
    c, a = pair(l)
    os.set_inheritable(a.fileno(), True)
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    c.close()
    kept.append(a)
    assert a.recv(1) == b""
elif what == "abandoned":  # only the child still holds the socket
    c, a = pair(l)
    os.set_inheritable(a.fileno(), True)
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    a.close()
    kept.append(c)
elif what == "listener":
    os.set_inheritable(l.fileno(), True)
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
elif what == "prefork":  # not reported: workers of one program share the listener intentionally
    r, w = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            os.close(w)
            os.read(r, 1)
            os._exit(0)
    os.close(r)
    kept.append(w)
elif what == "cloexec":  # not reported: the child inherits nothing
    kept.extend(pair(l))
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
if child:
    until("the child runs sleep", lambda: open("/proc/%d/comm" % child.pid).read() == "sleep\n")
print("ready", l.getsockname()[1], child.pid if child else 0, flush=True)
sys.stdin.read()
if child:
    child.kill()
os._exit(0)
