"""A peer that does not read: zero_window.py MODE COUNT. The sender is this process, the receiver its child."""
from stage import *

what, count = mode(), number(2, 3)
l = listener(receive_buffer=None if what == "shrunk" else 32768)
told, tell = os.pipe()
said, say = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    kept = []
    for _ in range(count):
        a, _ = l.accept()
        kept.append(a)
        if what == "shrunk":
            a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    os.write(say, b"x")
    while what == "slow":  # not reported: slow but steady
        ready, _, _ = select.select([told] + kept, [], [], 1)
        if told in ready:
            os._exit(0)
        for a in kept:
            if a in ready:
                a.recv(65536)
        time.sleep(0.3)  # long enough for the window to close, but only briefly
    os.read(told, 1)
    os._exit(0)
os.close(told)
kept = [socket.create_connection(l.getsockname(), timeout=LIMIT) for _ in range(count)]
os.read(said, 1)  # the receivers have accepted
for c in kept:
    if what == "some":  # not reported: there is room for more
        c.send(b"z" * 8192)
        until("it has arrived", lambda: struct.unpack_from("I", info(c), 24)[0] == 0)
    elif what != "slow":
        fill(c)
        until("a zero window", lambda: window(c) == 0)
    else:
        c.setblocking(False)

        def more(c=c):
            try:
                c.send(b"z" * 65536)
            except BlockingIOError:
                pass

        often(more, 0.001)
port = l.getsockname()[1]
l.close()
print("ready", port, child, flush=True)
sys.stdin.read()
os.close(tell)
os.waitpid(child, 0)
os._exit(0)
