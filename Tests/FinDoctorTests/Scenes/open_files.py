"""Descriptors of every kind, and one that /proc/PID/fd does not show: open_files.py"""
from stage import *
import ctypes, tempfile

libc = ctypes.CDLL(None, use_errno=True)
kept = [listener(), socket.socket(socket.AF_INET6), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
kept += socket.socketpair()
kept += [socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0), select.epoll(), socket.socket()]
os.dup2(kept[0].fileno(), 900)  # a second descriptor, far from the others
ledger, memory = os.memfd_create("fin-ledger"), os.memfd_create("else")
namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
others = os.pipe() + (os.open("/dev/null", os.O_RDONLY), libc.eventfd(0, 0))
# The file of a Unix socket, opened with O_PATH, is not a socket.
folder = tempfile.mkdtemp()
named = socket.socket(socket.AF_UNIX)
named.bind(folder + "/s")
path = os.open(folder + "/s", os.O_PATH)
os.unlink(folder + "/s")
os.rmdir(folder)
ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))  # io_uring_setup; forbidden on some machines

hidden = []
done = threading.Event()


def apart():
    """Runs in a thread with its own descriptor table."""
    if libc.unshare(0x400) == 0:
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        hidden.extend([os.fstat(own.fileno()).st_ino, own])
    done.set()
    threading.Event().wait()


threading.Thread(target=apart, daemon=True).start()
done.wait()
assert hidden
stand(
    os.fstat(900).st_ino, kept[6].fileno(), ledger, namespace, ring, hidden[0], len(kept) + 2)
