"""Situations that look like a fault of the program: situations.py MODE COUNT. Each is made of real sockets."""
import shutil, signal, subprocess, tempfile
from stage import *

what, count = mode(), number(2, 3)
kept = []


def full(l):
    return struct.unpack_from("I", info(l), 24)[0]


if what == "taken":  # the peer answers and closes; one recv takes the answer and the end of file
    l = listener()
    for _ in range(count):
        c, a = pair(l)
        a.send(b"HTTP/1.0 200 OK\r\n\r\nanswer")
        a.close()
        reach(c, CLOSE_WAIT)
        assert c.recv(4096).endswith(b"answer")  # and no call returns 0
        kept.append(c)
    stand(l.getsockname()[1])

if what == "half":  # the peers have finished sending and wait for a slow answer
    l = listener()
    for _ in range(count):
        c, a = pair(l)
        kept += [c, a]
        c.shutdown(socket.SHUT_WR)
        reach(a, CLOSE_WAIT)
        reach(c, FIN_WAIT2)
        assert a.recv(1) == b""
    stand(l.getsockname()[1])

if what == "reuseport":  # two processes listen on one address, and one of them is stopped
    def shared(port=0):
        l = socket.socket()
        l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        l.bind(("127.0.0.1", port))
        l.listen(64)
        return l

    l = shared()
    name = l.getsockname()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        l.close()
        os.close(told)
        mine = shared(name[1])
        os.write(tell, b"x")
        while True:
            kept.append(mine.accept()[0])
    os.close(tell)
    assert os.read(told, 1) == b"x"
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    l.settimeout(0)
    accepted = 0
    while True:  # until a client is in the queue of the stopped process
        c = socket.create_connection(name)
        kept.append(c)
        time.sleep(0.05)
        try:
            kept.append(l.accept()[0])
        except BlockingIOError:
            break
    l.settimeout(None)
    threading.Thread(target=lambda: [kept.append(l.accept()) for _ in iter(int, 1)], daemon=True).start()
    print("ready", name[1], child, flush=True)
    sys.stdin.read()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os._exit(0)

if what == "loop":  # an event loop that waits for room, for the peer's end, and for nothing else
    l = listener()
    epoll = select.epoll()
    for _ in range(count):
        c, a = pair(l)
        kept += [c, a]
        if mode(3) == "room":
            fill(a)
        else:
            a.shutdown(socket.SHUT_WR)
            reach(a, FIN_WAIT2)
        epoll.register(a, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
    threading.Thread(target=lambda: [epoll.poll() for _ in iter(int, 1)], daemon=True).start()
    stand(l.getsockname()[1])

if what == "filtered":  # a packet filter drops the SYNs to a listener with room
    l = listener()
    port = l.getsockname()[1]
    rules = "table ip t { chain c { type filter hook input priority 0; tcp dport %d drop; }; }" % port
    subprocess.run(["nft", rules], check=True)
    for _ in range(count):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(l.getsockname())
        kept.append(c)
    until("the SYNs are sent again", lambda: all(info(c)[2] >= 2 for c in kept))
    stand(port)

if what == "nginx":  # both workers are stopped, and their master holds the listener too
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    with open(folder + "/conf", "w") as f:
        f.write(
            "daemon off; worker_processes 2; pid %s/pid; error_log stderr crit; events {}"
            " http { access_log off; client_body_temp_path %s/a; proxy_temp_path %s/b; fastcgi_temp_path %s/c;"
            " uwsgi_temp_path %s/d; scgi_temp_path %s/e; server { listen 127.0.0.1:7200; } }" % ((folder,) * 6)
        )
    master = subprocess.Popen(["nginx", "-p", folder, "-c", folder + "/conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = "/proc/%d/task/%d/children" % (master.pid, master.pid)
    until("two workers", lambda: len(open(children).read().split()) == 2)
    workers = [int(pid) for pid in open(children).read().split()]

    def listens():
        try:
            kept.append(socket.create_connection(("127.0.0.1", 7200)))
            return True
        except OSError:
            return False

    until("nginx listens", listens)

    rows = [line.split() for line in open("/proc/thread-self/net/tcp").readlines()[1:]]
    inode = next(int(row[9]) for row in rows if row[1].endswith(":1C20") and row[3] == "0A")

    def watches(pid):
        """Whether the worker has the listener in its epoll set. It has others there before."""
        folder = "/proc/%d/fdinfo/" % pid
        try:
            return any(" ino:%x " % inode in open(folder + name).read() for name in os.listdir(folder))
        except OSError:  # a worker that starts closes descriptors
            return False

    state_of = lambda pid: open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0]

    def stopped():
        """Stops both workers where they wait for clients: at times one takes the listener out of its set and back."""
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        until("both are stopped", lambda: all(state_of(pid) == "T" for pid in workers))
        if all(watches(pid) for pid in workers):
            return True
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        return False

    until("both wait for clients", lambda: all(watches(pid) for pid in workers))
    until("both are stopped in their wait", stopped)
    kept.append(socket.create_connection(("127.0.0.1", 7200)))
    print("ready", 7200, master.pid, *workers, flush=True)
    sys.stdin.read()
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    master.terminate()
    master.wait()
    shutil.rmtree(folder)
    os._exit(0)
