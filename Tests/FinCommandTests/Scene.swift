import Peers

/// One socket in each stable state, made by a Python program in its own network namespace.
enum Scene {
  static let program = """
    import socket, struct, sys, time
    kept = []
    def listener(address="127.0.0.1", backlog=64, family=socket.AF_INET, **options):
        s = socket.socket(family)
        if "buffer" in options: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer"])
        s.bind((address, 0)); s.listen(backlog); kept.append(s)
        return s
    def client(l, address="127.0.0.1", family=socket.AF_INET):
        c = socket.socket(family); c.connect((address, l.getsockname()[1])); kept.append(c)
        return c
    def pair(l, *where):
        c = client(l, *where); s, _ = l.accept(); kept.append(s)
        return c, s
    def fill(s):
        s.setblocking(False)
        try:
            while True: s.send(b"z" * 65536)
        except BlockingIOError: pass

    queue = listener(backlog=5)
    client(queue); client(queue).send(b"hello"); client(queue).shutdown(socket.SHUT_WR)
    plain = listener()
    pair(plain)
    c, s = pair(plain); c.send(b"x" * 1000)
    c, s = pair(plain); c.send(b"y" * 10); c.shutdown(socket.SHUT_WR); s.recv(100); s.recv(1)
    c, s = pair(plain); c.close()
    c, s = pair(plain); c.close(); s.close()
    c, s = pair(plain)
    for end in (c, s): end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 300)
    small = listener(buffer=4096)
    c, s = pair(small); fill(c)
    c, s = pair(small); fill(c); c.close()
    c, s = pair(small); s.shutdown(socket.SHUT_WR); fill(c); c.close()
    full = listener(backlog=0)
    client(full)
    for _ in range(3):
        c = socket.socket(); c.setblocking(False); kept.append(c)
        c.connect_ex(full.getsockname())
    if len(sys.argv) > 1:
        six = listener("::1", family=socket.AF_INET6)
        pair(six, "::1", socket.AF_INET6)[0].send(b"abc")
        both = listener("::", family=socket.AF_INET6)
        pair(both)
    while " 06 " not in open("/proc/thread-self/net/tcp").read(): time.sleep(0.001)  # one of them rests
    print("ready", flush=True)
    sys.stdin.read()
    """

  /// A Python program that makes MPTCP connections in each stable state.
  static let multipath = """
    import socket, sys
    kept = []
    l = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    l.bind(("127.0.0.1", 0)); l.listen(8); kept.append(l)
    print("listening", flush=True)
    sys.stdin.readline()
    for what in ("idle", "unread", "half", "closed"):
        c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(l.getsockname())
        s, _ = l.accept(); kept += [c, s]
        c.send(b"hello"); s.recv(5)
        if what == "unread": c.send(b"x" * 1000)
        if what == "half": c.shutdown(socket.SHUT_WR); s.recv(1)
        if what == "closed": c.close(); s.recv(1)
    c = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); c.connect(l.getsockname()); kept.append(c)
    print("ready", flush=True)
    sys.stdin.read()
    """

  /// Runs `body` while the MPTCP scene stands; does nothing if the kernel has no MPTCP.
  ///
  /// The listener is listed before its clients connect, so that it has a cookie, which they then share.
  static func standMultipath(in namespace: NetworkNamespace, _ body: () throws -> Void) throws {
    let python = Programs.find("python3") ?? "/usr/bin/python3"
    try namespace.run {
      try withChild(python, ["-c", multipath]) { child in
        guard try child.readLine() == "listening" else { return }
        _ = try output(of: Fin.path, "list", "--mptcp", "--own-namespace")
        try child.write("go\n")
        guard try child.readLine() == "ready" else { throw RigError("the scene did not stand") }
        try body()
      }
    }
  }

  /// Runs `body` while the scene stands.
  static func stand(in namespace: NetworkNamespace, _ body: () throws -> Void) throws {
    let python = Programs.find("python3") ?? "/usr/bin/python3"
    try namespace.run {
      try withChild(python, ["-c", program] + (Privileges.hasIPv6 ? ["6"] : [])) { child in
        guard try child.readLine() == "ready" else { throw RigError("the scene did not stand") }
        try body()
      }
    }
  }

  /// Runs a program in the network namespace of the calling thread and returns its output.
  static func output(of path: String, _ arguments: String...) throws -> String { try output(of: path, arguments) }

  static func output(of path: String, _ arguments: [String]) throws -> String {
    try withChild(path, arguments) { child in
      child.closeInput()
      return try child.readToEnd(within: .seconds(120))
    }
  }

  /// Copies a program to another name.
  static func copy(_ program: String, to path: String) throws {
    let exit = try withChild("/bin/cp", [program, path]) { try $0.wait() }
    guard exit == .exited(0) else { throw RigError("\(program) could not be copied") }
  }
}
