"""As much of PostgreSQL's protocol, version 3.0, as a client without a password needs."""
from stage import *


def until_ready(s):
    """Reads messages up to ReadyForQuery, and returns whether none was an error."""
    good, data = True, b""
    while True:
        while len(data) < 5 or len(data) < 1 + struct.unpack("!I", data[1:5])[0]:
            piece = s.recv(65536)
            assert piece
            data += piece
        kind, data = data[:1], data[1 + struct.unpack("!I", data[1:5])[0] :]
        good = good and kind != b"E"
        if kind == b"Z":
            return good


def query(text):
    return b"Q" + struct.pack("!I", 5 + len(text)) + text.encode() + b"\0"


def postgres(port):
    """A connection on which the server is ready for a query."""
    s = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    words = b"user\0fin\0database\0postgres\0\0"
    s.sendall(struct.pack("!II", 8 + len(words), 196608) + words)
    assert until_ready(s)
    return s
