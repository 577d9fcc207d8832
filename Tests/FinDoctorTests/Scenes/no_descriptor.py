"""A socket without a descriptor: no_descriptor.py MODE."""
import array, ctypes
from stage import *

what = mode()
l = listener()
c, a = pair(l)
kept = [l, c]
inode = os.fstat(a.fileno()).st_ino
if what == "in-flight":  # in an SCM_RIGHTS message that was not received
    x, y = socket.socketpair()
    x.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [a.fileno()]))])
    a.close()
    kept += [x, y]
elif what in ("listener", "udp", "unix", "bound", "several"):  # sockets that are no connections, in such a message
    s = socket.socket(socket.AF_UNIX if what == "unix" else socket.AF_INET,
                      socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM)
    s.bind("\0fin-in-flight" if what == "unix" else ("127.0.0.1", 0))
    if what in ("listener", "unix"):
        s.listen(4)
    if what == "several":  # beside another receiver, with a message that has another file
        more, other = socket.socketpair()
        more.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
        kept += [more, other]
    inode, name = os.fstat(s.fileno()).st_ino, s.getsockname()
    x, y = socket.socketpair()
    x.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    s.close()
    stand(inode, 0 if what == "unix" else name[1], y.fileno())
elif what == "vxlan":  # a tunnel's port, which the kernel holds
    import subprocess

    link = ["ip", "link", "add", "fin0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "lo"]
    if subprocess.run(link, capture_output=True).returncode != 0:
        print("missing vxlan", flush=True)
        os._exit(0)
    assert subprocess.run(["ip", "link", "set", "fin0", "up"]).returncode == 0
    stand(0, 4789)
elif what == "ring":  # a registered file of an io_uring
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 4, ctypes.create_string_buffer(256))
    if ring < 0:
        print("missing io_uring", flush=True)
        os._exit(0)
    files = (ctypes.c_int * 1)(a.fileno())
    assert libc.syscall(427, ring, 2, files, 1) == 0
    a.close()
elif what == "multipath":  # not reported: closed, but its subflows stay for a while
    try:
        l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        l.bind(("127.0.0.1", 0))
        l.listen(1)
        c, kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262), [l]
    except OSError:
        print("missing MPTCP", flush=True)
        os._exit(0)
    c.connect(l.getsockname())
    kept.append(l.accept()[0])
    inode = os.fstat(c.fileno()).st_ino
    c.close()
else:  # not reported: it has a descriptor
    kept.append(a)
stand(inode)
