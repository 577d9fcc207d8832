"""One side of connections between two networks: across.py serve|send|talk|idle|keepalive|connect ADDRESS PORT COUNT
[PROBES [TIMEOUT]].

Prints "ready", then executes each line of its input: "send" sends data on every connection.
"""
from stage import *

what, address, port, count = mode(), mode(2), number(3, 0), number(4, 3)
kept = []
if what == "serve":
    l = listener(address, port)

    def serve():
        while True:
            a, _ = l.accept()
            kept.append(a)
            threading.Thread(target=drain, args=(a,), daemon=True).start()

    def drain(a):
        while a.recv(65536):
            pass

    threading.Thread(target=serve, daemon=True).start()
    stand(l.getsockname()[1])
if what == "connect":
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((address, port))
        kept.append(s)
else:
    for _ in range(count):
        s = socket.create_connection((address, port), timeout=LIMIT)
        s.settimeout(None)
        kept.append(s)
        if what == "keepalive":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, number(5, 9))
            if len(sys.argv) > 6:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, number(6, 0))
print("ready", flush=True)
for line in sys.stdin:
    if line.strip() == "send":
        for s in kept:
            s.send(b"into the void")
        print("sent", flush=True)
os._exit(0)
