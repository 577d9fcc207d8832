"""Gives each server and its load generator a network namespace of their own, which ends with them.

Churn leaves tens of thousands of connections in TIME-WAIT for a minute. In a shared namespace they would slow down the
servers that are measured later, and take ports from all other programs on the machine.
"""
import ctypes
import fcntl
import os
import pathlib
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
# A new network namespace begins with the kernel's defaults, not with this machine's settings.
SETTINGS = [pathlib.Path("/proc/sys/net") / name for name in (
    "core/somaxconn", "ipv4/ip_local_port_range", "ipv4/tcp_max_syn_backlog", "ipv4/tcp_rmem", "ipv4/tcp_wmem",
    "ipv4/tcp_tw_reuse", "ipv4/tcp_max_tw_buckets", "ipv4/tcp_congestion_control", "ipv4/tcp_fin_timeout")]


def _unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _raise_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", request)[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def _read():
    found = {}
    for setting in SETTINGS:
        try:
            found[setting] = setting.read_text()
        except OSError:
            pass
    return found


_missing = None


def renew():
    """Moves this process, and the processes that it starts from now on, into a new network namespace.

    Returns the reason if that is not permitted; then this process stays in its current namespace.
    """
    global _missing
    if _missing is None:
        before = _read()
        try:
            _unshare()
            _raise_loopback()
        except OSError as reason:
            _missing = reason.strerror
            return _missing
        now = _read()
        for setting, value in before.items():
            if now.get(setting) != value:
                try:
                    setting.write_text(value)
                except OSError:
                    pass
    return _missing
