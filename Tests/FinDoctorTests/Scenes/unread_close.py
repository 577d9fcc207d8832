"""A program that closes with unread data, which resets the peer: unread_close.py situation|neighbour.

It does so about 50 times a second; "neighbour" reads everything before it closes.
"""
from stage import *

what = mode()
l = listener()


def once():
    c, a = pair(l)
    c.send(b"x" * 100)
    until("the data has come", lambda: unread(a) == 100)
    if what == "situation":
        a.close()
        c.close()
    else:
        a.recv(200)
        a.shutdown(socket.SHUT_WR)
        c.close()
        a.recv(1)
        a.close()


often(once)
stand(l.getsockname()[1])
