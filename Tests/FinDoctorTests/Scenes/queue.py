"""Clients in an accept queue: queue.py WAITING GIVEN_UP [BACKLOG].

Prints the times before and after the first connect.
"""
from stage import *

l = listener(backlog=number(3, 16))
kept = []
before = time.monotonic_ns()
for i in range(number(1, 1) + number(2, 0)):
    c = socket.create_connection(l.getsockname())
    if i == 0:
        after = time.monotonic_ns()
    if i < number(1, 1):
        kept.append(c)
    else:
        c.close()
queue(l, number(1, 1) + number(2, 0))
until("those that gave up have", lambda: states().count(CLOSE_WAIT) == number(2, 0))
stand(l.getsockname()[1], before, after, l.fileno())
