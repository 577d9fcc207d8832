"""A program close to its descriptor limit: fd_limit.py SHARE-IN-PERCENT [close-wait|growing]."""
import resource
from stage import *

share, limit = number(1, 95), 200
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
l = listener()
kept = [l]
wanted = limit * share // 100
while len(os.listdir("/proc/self/fd")) - 1 < wanted:
    if mode(2, "") == "close-wait":
        c, a = pair(l)
        c.close()
        assert a.recv(1) == b""
        kept.append(a)
    elif mode(2, "") == "growing" and len(os.listdir("/proc/self/fd")) - 1 >= wanted - 20:
        break
    else:
        kept.append(os.dup(0))
if mode(2, "") == "growing":
    left = list(range(20))

    def one():
        if left:
            left.pop()
            kept.append(os.dup(0))

    often(one, 0.2)
stand(len(os.listdir("/proc/self/fd")) - 1)
