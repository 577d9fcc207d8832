"""Single clients and servers beside a real program: zoo_client.py KIND PORT [COUNT]."""
from stage import *

what, port, count = mode(), number(2, 0), number(3, 12)
kept = []
if what == "idle":  # connections that stay open
    for _ in range(count):
        kept.append(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
elif what == "slow":  # a server that answers after the end of the request, piece by piece
    l = listener(port=port)

    def answer(a):
        with a:
            while a.recv(1000):
                pass
            for _ in range(20):
                a.sendall(b"piece")
                time.sleep(0.02)

    def serve():
        while True:
            a, _ = l.accept()
            threading.Thread(target=answer, args=(a,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
stand(port)
