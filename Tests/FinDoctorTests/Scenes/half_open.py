"""Handshakes that are never finished: half_open.py MODE ADDRESS NETWORK BACKLOG COUNT.

The SYNs come from addresses of a network in which no host answers.
"""
from stage import *

what, address, network, backlog, count = mode(), mode(2), mode(3), number(4, 16), number(5, 12)
l = listener(address, backlog=backlog)
port = l.getsockname()[1]


def checksum(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    s = (s >> 16) + (s & 0xFFFF)
    s += s >> 16
    return ~s & 0xFFFF


def syn(source, source_port):
    tcp = struct.pack("!HHIIBBHHH", source_port, port, 1000, 0, 5 << 4, 2, 65535, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(address) + struct.pack("!BBH", 0, 6, 20)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ends = (socket.inet_aton(source), socket.inet_aton(address))
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, *ends) + tcp


raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def knock():
    for i in range(count):
        raw.sendto(syn("%s.%d" % (network, i + 1), 3000 + i), (address, 0))


often(knock, 1)  # a half full backlog drops the oldest handshake after some seconds, and any after a minute


def waiting():
    return sum(1 for x in open("/proc/thread-self/net/tcp").readlines()[1:] if x.split()[3] == "03")


if what == "dropped":  # the kernel drops the SYNs, all of them or those above the backlog
    count_of = lambda: struct.unpack_from("9I", l.getsockopt(socket.SOL_SOCKET, 55, 36))[8]  # SO_MEMINFO, SK_MEMINFO_DROPS
    until("SYNs are dropped", lambda: count_of() > 0)
    stand(port)
until("the handshakes wait", lambda: waiting() >= min(count, backlog))
stand(port)
