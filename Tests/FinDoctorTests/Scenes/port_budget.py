"""Known numbers of ports in use: port_budget.py CONNECTED RESTING BOUND [bind-first].

The test has set the ephemeral range of this network; the listeners are outside it. Each line of the input is a command.
`fill` connects until no port is left (to 7001 with a second word) and prints the count and the reason; `churn N` opens
and closes N connections; `hold N` keeps N more.
"""
import errno
from stage import *

connected, resting, bound = number(1, 0), number(2, 0), number(3, 0)
bind_first = mode(4, "") == "bind-first"
l = listener(port=7000)
other = listener(port=7001)
kept = [l, other]


def connection(l, bind_first=False):
    s = socket.socket()
    if bind_first:
        s.bind(("127.0.0.1", 0))
    try:
        s.connect(l.getsockname())
    except OSError:
        s.close()
        raise
    a, _ = l.accept()
    return s, a


for i in range(bound):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    kept.append(s)
for i in range(connected):
    kept += connection(l, bind_first)
for i in range(resting):
    s, a = connection(l)
    s.close()
    a.recv(1)
    a.close()
rest(resting)
print("ready", l.getsockname()[1], other.getsockname()[1], flush=True)
for line in sys.stdin:
    words = line.split()
    count, why, resting = 0, "-", states().count(TIME_WAIT)
    try:
        if words[0] == "fill":
            while True:
                kept += connection(l if len(words) == 1 else other)
                count += 1
        for _ in range(int(words[1])):
            s, a = connection(l)
            count += 1
            if words[0] == "hold":
                kept += [s, a]
            else:
                s.close()
                a.recv(1)
                a.close()
                resting += 1
                rest(resting)
    except OSError as e:
        why = errno.errorcode[e.errno]
    print(count, why, flush=True)
os._exit(0)
