"""Listeners with several workers: prefork.py WORKERS shared|reuseport|unix [NAME]. Prints the workers' process ids."""
from stage import *

workers, how = number(1, 3), mode(2, "shared")


def make(port=0):
    s = socket.socket()
    if how == "reuseport":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port))
    s.listen(16)
    return s


if how == "unix":
    l = socket.socket(socket.AF_UNIX)
    l.bind("\0" + sys.argv[3])
    l.listen(3)
    clients = []
    for i in range(3):
        c = socket.socket(socket.AF_UNIX)
        c.connect("\0" + sys.argv[3])
        clients.append(c)
    clients[0].close()
    stand(os.getpid())
l = make()
children = []
for _ in range(workers):
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        mine = l if how == "shared" else make(l.getsockname()[1])
        if how == "reuseport":
            l.close()
        os.write(tell, b"x")
        try:
            while True:
                mine.accept()
        finally:
            os._exit(0)
    os.read(told, 1)
    children.append(child)
port = l.getsockname()[1]
if how == "reuseport":
    l.close()
for child in children:
    until("a worker in accept", lambda: open("/proc/%d/syscall" % child).read().split()[0] in ("43", "202", "288", "242"))
print("ready", port, *children, flush=True)
sys.stdin.read()
for child in children:
    os.kill(child, 9)
os._exit(0)
