"""Clients that make requests all the time: zoo_load.py KIND PORT.

Prints "ready" after the first requests; for each line of input, prints "done" after two hundred more.
"""
import http.client
from stage import *
from postgres import postgres, query, until_ready

what, port = mode(), number(2, 0)
if what == "requests":
    sys.path.pop(0)  # Scenes of this folder have names of modules that it imports.
    import requests
made, lock = 0, threading.Condition()


# In the test suite the processor belongs to the other tests too; for a measured time it belongs to the load.
pause = 0 if "FIN_ZOO_SECONDS" in os.environ else 0.003


def one():
    global made
    time.sleep(pause)
    with lock:
        made += 1
        lock.notify_all()


def over_http():
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    while True:
        for closes in (False, False, False, True):
            c.request("GET", "/", headers={"Connection": "close"} if closes else {})
            assert c.getresponse().read()
            if closes:  # a server may close without saying so
                c.close()
            one()


def over_redis():
    s = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    while True:
        s.sendall(b"INCR fin\r\n")
        assert s.recv(100).startswith(b":")
        one()


def with_requests():
    with requests.Session() as session:
        session.trust_env = False  # no proxy of the machine
        while True:
            assert session.get("http://127.0.0.1:%d/" % port, timeout=LIMIT).ok
            one()


def over_postgres():
    """The protocol of PostgreSQL, version 3.0: a start without a password, then simple queries."""
    s = postgres(port)
    while True:
        s.sendall(query("SELECT 1"))
        assert until_ready(s)
        one()


def half_closed():
    """Asks through a proxy, finishes sending, and reads an answer that takes a while."""
    while True:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as s:
            s.sendall(b"ask")
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        one()


def wait(count):
    with lock:
        goal = made + count
        assert lock.wait_for(lambda: made >= goal, 60)


work = {
    "http": over_http, "redis": over_redis, "requests": with_requests, "postgres": over_postgres, "half": half_closed
}[what]
few = what == "half"
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
wait(4 if few else 50)
print("ready", flush=True)
for line in sys.stdin:
    wait(8 if few else 200)
    print("done", flush=True)
os._exit(0)
