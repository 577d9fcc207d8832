#if TLS
import Peers

@testable import Fin

/// How a peer ends its stream.
enum PeerEnd: String, CaseIterable, Sendable {
  case notify = "close_notify, then FIN"
  case fin = "FIN alone"
  case rst = "a reset"

  /// The cause of a receive after the last byte; `nil` for the end of the stream.
  var cause: SocketError.Cause? {
    switch self {
    case .notify: nil
    case .fin: .truncated
    case .rst: .reset
    }
  }
}

/// A peer that Python's `ssl` plays, with memory buffers between it and the socket, so that the script alone decides
/// when the wire ends and how.
struct PythonTLS {
  private static let script = """
    import socket, ssl, struct, sys, time
    role, version, end, port, root, chain, key, what = sys.argv[1:9]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role == "server" else ssl.PROTOCOL_TLS_CLIENT)
    if role == "server": context.load_cert_chain(chain, key)
    else: context.load_verify_locations(root)
    if version == "1.2": context.maximum_version = ssl.TLSVersion.TLSv1_2
    else: context.minimum_version = ssl.TLSVersion.TLSv1_3
    def say(text): print(text, flush=True)
    if role == "server":
        listener = socket.create_server(("127.0.0.1", 0))
        say(listener.getsockname()[1])
    def begin():
        global wire, come, go, tls
        if role == "server": wire, _ = listener.accept()
        else: wire = socket.create_connection(("127.0.0.1", int(port)))
        wire.settimeout(30)
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(come, go, server_side=role == "server",
                               server_hostname=None if role == "server" else "localhost")
        pump(tls.do_handshake)
    def pump(call):
        while True:
            try: result = call()
            except ssl.SSLWantReadError:
                if go.pending: wire.sendall(go.read())
                more = wire.recv(65536)
                if more: come.write(more)
                else: come.write_eof()
                continue
            if go.pending: wire.sendall(go.read())
            return result
    def heard():
        try:
            while True:
                more = pump(lambda: tls.read(65536))
                if not more: return "close_notify"
        except ssl.SSLZeroReturnError: return "close_notify"
        except ssl.SSLEOFError: return "FIN"
        except ConnectionResetError: return "reset"
        except ssl.SSLError as error: return repr(error)
    def finish():
        if end == "notify":
            try: tls.unwrap()
            except ssl.SSLWantReadError: pass
            wire.sendall(go.read())
        if end == "rst":
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.close()
        else: wire.shutdown(socket.SHUT_WR)
    begin()
    \(PythonTLS.scenes)
    """

  private static let scenes = """
    if what == "ending":
        tls.write(b"DELETE FROM users")
        wire.sendall(go.read())
        sys.stdin.readline()
        finish()
        if end != "rst": say(heard())
    if what == "answer":
        count = 0
        try:
            while True:
                more = pump(lambda: tls.read(65536))
                if not more: break
                count += len(more)
        except ssl.SSLZeroReturnError: pass
        rest = memoryview(b"a" * count)
        while rest:
            rest = rest[tls.write(rest[:16384]):]
            wire.sendall(go.read())
        finish()
        say(count)
    while what == "late":
        # Busy for a moment, as a server is: most of the data is unread when the client closes.
        time.sleep(0.05)
        count, ended = 0, "FIN"
        try:
            while True:
                more = pump(lambda: tls.read(65536))
                if not more: ended = "close_notify"; break
                count += len(more)
        except ssl.SSLZeroReturnError: ended = "close_notify"
        except ssl.SSLEOFError: ended = "FIN"
        except ConnectionResetError: ended = "reset"
        say("%d %s" % (count, ended))
        try: finish()
        except OSError: pass
        wire.close()
        begin()
    """

  /// Python beside the test, and a plain connection to it.
  struct Started: ~Copyable {
    let child: Child
    let connection: Connection
    let role: TLSRole
  }

  /// Starts Python as the other side.
  static func start(
    _ what: String, _ certificates: Certificates, asServer: Bool, version: String = "1.3", end: PeerEnd = .notify
  ) throws -> Started {
    let identity = try certificates.identity()
    var listener: Listener? = asServer ? nil : try Listener.bind(.loopback(port: 0))
    let port = listener?.localAddress.port ?? 0
    let arguments = [
      asServer ? "server" : "client", version, end.word, "\(port)", certificates.root, identity.certificates,
      identity.key, what,
    ]
    let child = try Child.spawn(Programs.find("python3") ?? "", ["-u", "-c", script] + arguments)
    if let accepting = listener.take() {
      let connection = try accepting.accept(within: .seconds(30))
      accepting.close()
      return Started(child: child, connection: connection, role: .server(try TLSServer(identity)))
    }
    guard let port = UInt16(try child.readLine(within: .seconds(30)) ?? "") else { throw RigError("no port") }
    let client = try TLSClient(trust: .roots(path: certificates.root))
    return Started(
      child: child, connection: try Connection.connect(to: .loopback(port: port)),
      role: .client(for: "localhost", client))
  }
}

extension PeerEnd {
  var word: String {
    switch self {
    case .notify: "notify"
    case .fin: "fin"
    case .rst: "rst"
    }
  }
}
#endif
