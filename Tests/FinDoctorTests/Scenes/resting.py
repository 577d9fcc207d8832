"""Two connections; each line of input closes one, the client first, so that the client's side is in TIME-WAIT."""
from stage import *

l = listener()
pairs = [pair(l), pair(l)]
print("ready", *(c.fileno() for c, a in pairs), flush=True)
for place, (c, a) in enumerate(pairs):
    if sys.stdin.readline():
        c.close()
        assert a.recv(1) == b""
        a.close()
        rest(place + 1)
        print("closed", flush=True)
sys.stdin.read()
