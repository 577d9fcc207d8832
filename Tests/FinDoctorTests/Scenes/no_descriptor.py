"""A socket that no descriptor holds: no_descriptor.py MODE."""
import array, ctypes
from stage import *

what = mode()
l = listener()
c, a = pair(l)
kept = [l, c]
inode = os.fstat(a.fileno()).st_ino
if what == "in-flight":  # sent to somebody who has not received it
    x, y = socket.socketpair()
    x.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [a.fileno()]))])
    a.close()
    kept += [x, y]
elif what == "ring":  # a registered file of an io_uring
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 4, ctypes.create_string_buffer(256))
    if ring < 0:
        print("missing io_uring", flush=True)
        os._exit(0)
    files = (ctypes.c_int * 1)(a.fileno())
    assert libc.syscall(427, ring, 2, files, 1) == 0
    a.close()
else:  # innocent: a descriptor holds it
    kept.append(a)
stand(inode)
