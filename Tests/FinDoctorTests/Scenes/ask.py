"""Runs a program on a terminal, answers its question, prints its status and output: ask.py ANSWER PROGRAM …"""
import os, pty, sys

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said = b""
answered = False
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:  # the program has closed its terminal
        break
    if not more:
        break
    said += more
    if not answered and b"[y/N] " in said:
        os.write(terminal, sys.argv[1].encode() + b"\n")
        answered = True
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(status, "asked" if answered else "not asked", said.decode(errors="replace").replace("\r", ""), flush=True)
