"""300 connections with random traffic, each finished by its client at a recorded time."""
import random
from stage import *

random.seed(number(1, 1))
count = number(2, 300)
l = listener(backlog=512)
cookie = lambda s: struct.unpack("Q", s.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
now = time.monotonic
kinds = ["silent", "data", "both", "both", "late-write", "keepalive"]
all, events = [], []
for _ in range(count):
    c, a = pair(l)
    s = dict(c=c, a=a, kind=random.choice(kinds))
    end = random.uniform(0.3, 3.0)
    if s["kind"] != "silent":
        events.append((random.uniform(0, end), "client", s))
    if s["kind"] == "both":
        events.append((random.uniform(0, end), "server", s))
    if s["kind"] == "late-write":
        events.append((random.uniform(end, 3.4), "server", s))
    if s["kind"] == "keepalive":
        a.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    events.append((end, "finish", s))
    all.append(s)
events.sort(key=lambda e: e[0])
begin = now()
for moment, what, s in events:
    left = begin + moment - now()
    if left > 0:
        time.sleep(left)
    if what == "client":
        s["c"].send(b"x" * random.randint(1, 2000))
    elif what == "server":
        s["a"].send(b"y" * random.randint(1, 2000))
    else:
        s["before"] = now()
        s["c"].shutdown(socket.SHUT_WR)
        s["after"] = now()
for s in all:
    reach(s["a"], CLOSE_WAIT)
    reach(s["c"], FIN_WAIT2)
time.sleep(max(0, begin + 4.5 - now()))
print("ready", count)
for s in all:
    print(cookie(s["a"]), cookie(s["c"]), s["kind"], int(s["before"] * 1e9), int(s["after"] * 1e9))
sys.stdout.flush()
sys.stdin.read()
os._exit(0)
