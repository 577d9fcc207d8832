"""Three listeners of one address, in one program: reuseport.py."""
from stage import *

kept = []
for i in range(3):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", kept[0].getsockname()[1] if kept else 7100))
    s.listen(4)
    kept.append(s)
stand(kept[0].getsockname()[1])
