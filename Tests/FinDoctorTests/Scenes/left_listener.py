"""A listener in the child of a server that has ended: left_listener.py MODE.

The server leads a process group and a session of its own, and this program waits for its end.
"""
import signal, subprocess
from stage import *

what = mode()
reading, writing = os.pipe()
server = os.fork()
if server == 0:
    os.setsid()
    l = listener()
    os.set_inheritable(l.fileno(), True)
    if what == "accepting":  # not reported: the child accepts
        code = "import socket; socket.socket(fileno=%d).accept()" % l.fileno()
        child = subprocess.Popen([sys.executable, "-c", code], close_fds=False, stdin=subprocess.DEVNULL)
    else:  # the child does something else
        child = subprocess.Popen(["sleep", "600"], close_fds=False, stdin=subprocess.DEVNULL)
    os.write(writing, b"%d %d" % (child.pid, l.getsockname()[1]))
    if what == "alive":  # not reported: the server still runs, and accepts
        l.accept()
    os._exit(0)
child, port = map(int, os.read(reading, 100).split())
if what != "alive":
    os.waitpid(server, 0)
if what == "accepting":
    calls = ("43", "202", "288", "242")  # accept, accept4
    until("the child accepts", lambda: open("/proc/%d/syscall" % child).read().split()[0] in calls)
else:
    until("the child has begun", lambda: open("/proc/%d/comm" % child).read() == "sleep\n")
print("ready", child, port, flush=True)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
if what == "alive":
    os.kill(server, signal.SIGKILL)
os._exit(0)
