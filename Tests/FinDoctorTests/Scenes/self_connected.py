"""A socket connected to itself, as connect makes it when it chooses the destination's port: self_connected.py."""
from stage import *

s = socket.socket()
s.bind(("127.0.0.1", 0))
s.connect(s.getsockname())
stand(s.getsockname()[1], s.fileno())
