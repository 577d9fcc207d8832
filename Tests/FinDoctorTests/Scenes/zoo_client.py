"""Single clients and servers beside a real program: zoo_client.py KIND PORT [COUNT]."""
import http.client
from stage import *
from postgres import postgres, query

what, port, count = mode(), number(2, 0), number(3, 12)
kept = []
if what == "idle":  # connections that stay open
    for _ in range(count):
        kept.append(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
elif what == "leaving":  # connections that the client closes at once
    for _ in range(count):
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
elif what == "crowd":  # attempts, of which the listener answers as many as fit into its queue
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        kept.append(s)
elif what == "full":  # a listener whose queue is full, at 127.0.0.1 only
    l = listener(port=port, backlog=0)
    for _ in range(2):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        kept.append(s)
    queue(l, 1)
elif what == "hangup":  # a server that closes each connection at once
    l = listener(port=port)

    def hang_up():
        while True:
            l.accept()[0].close()

    threading.Thread(target=hang_up, daemon=True).start()
elif what == "ask":  # requests that wait for their answer: zoo_client.py ask PORT COUNT PATH
    for _ in range(count):
        c = http.client.HTTPConnection("127.0.0.1", port)
        c.request("GET", mode(4, "/"))
        kept.append(c)
elif what == "half":  # clients that finish sending and wait for the answer
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        s.sendall(b"ask")
        s.shutdown(socket.SHUT_WR)
        reach(s, FIN_WAIT2)
        kept.append(s)
elif what == "mute":  # a server that reads to the end of file and neither answers nor closes
    l = listener(port=port)

    def hear(a):
        while a.recv(1000):
            pass

    def accept():
        while True:
            a, _ = l.accept()
            kept.append(a)
            threading.Thread(target=hear, args=(a,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
elif what == "unread":  # a query with a large result that the client does not read
    for _ in range(count):
        s = postgres(port)
        s.sendall(query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        kept.append(s)
elif what == "closing":  # a server that sends its answer and the end of file in one segment
    l = listener(port=port)

    def reply():
        while True:
            a, _ = l.accept()
            assert a.recv(4096)
            a.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", socket.MSG_MORE)
            a.close()

    threading.Thread(target=reply, daemon=True).start()
elif what == "pool":  # a session of requests whose connections go back to its pool
    sys.path.pop(0)  # Scenes of this folder have names of modules that it imports.
    import requests
    from requests.adapters import HTTPAdapter

    kept = [requests.Session() for _ in range(count)]
    for session in kept:
        session.trust_env = False  # no proxy of the machine
        session.mount("http://", HTTPAdapter(pool_maxsize=1))
        assert session.get("http://127.0.0.1:%d/" % port, timeout=LIMIT).text == "ok"
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
