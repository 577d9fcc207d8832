import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Real peers: Python's socket module", .needsProgram("python3"), .onThreads)
struct PythonPeers {
  private func python(_ script: String, _ arguments: String..., body: (Child) throws -> Void) throws {
    let program = try #require(Programs.find("python3"))
    try withChild(program, ["-u", "-c", script] + arguments) { try body($0) }
  }

  @Test("Python as a client that half-closes and reads the answer")
  func client() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let script = """
      import socket, sys
      s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
      s.sendall(b"x" * 300000)
      s.shutdown(socket.SHUT_WR)
      data = b""
      while True:
          more = s.recv(65536)
          if not more: break
          data += more
      print(len(data), data[:5].decode(), data[-5:].decode())
      s.close()
      """
    try python(script, "\(listener.localAddress.port ?? 0)") { child in
      let connection = try listener.accept(within: .seconds(20))
      var count = 0
      while let bytes = try connection.receive(upTo: 1 << 16, within: .seconds(20)) { count += bytes.count }
      #expect(count == 300_000)
      #expect(connection.phase == .peerFinished)
      // The peer has finished; we have not, and send everything we have to send.
      try connection.send("first" + String(repeating: "-", count: 200_000) + "last!")
      let report = connection.close()
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(report.bytesUnacknowledged == 0)
      #expect(try child.readLine(within: .seconds(20)) == "200010 first last!")
      #expect(try child.wait() == .exited(0))
    }
    listener.close()
  }

  private static let server = """
    import socket, sys
    l = socket.create_server(("127.0.0.1", 0))
    print(l.getsockname()[1])
    c, _ = l.accept()
    c.settimeout(20)
    data = b""
    while True:
        more = c.recv(65536)
        if not more: break
        data += more
    c.sendall(b"got %d\\n" % len(data))
    c.shutdown(socket.SHUT_WR)
    c.close()
    print("done")
    """

  @Test("Python as a server to which we half-close")
  func server() throws {
    try python(Self.server) { child in
      let port = try #require(UInt16(try child.readLine(within: .seconds(20)) ?? ""))
      let connection = try Connection.connect(to: .loopback(port: port))
      try connection.send(pattern(1_000_000))
      let half = connection.finishSending()
      #expect(try half.receiveLine(within: .seconds(20)) == "got 1000000")
      #expect(try half.receiveLine(within: .seconds(20)) == nil)
      let report = half.close()
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(try child.readLine() == "done")
      #expect(try child.wait() == .exited(0))
    }
  }

  @Test("Python as a server that closes without reading: acknowledged, then discarded")
  func discards() throws {
    let script = """
      import socket, sys
      l = socket.create_server(("127.0.0.1", 0))
      print(l.getsockname()[1])
      c, _ = l.accept()
      sys.stdin.readline()
      c.close()
      print("closed")
      """
    try python(script) { child in
      let port = try #require(UInt16(try child.readLine(within: .seconds(20)) ?? ""))
      let connection = try Connection.connect(to: .loopback(port: port))
      try connection.send("never read")
      try eventually("the acknowledgement") { try connection.bytesUnacknowledged() == 0 }
      let half = connection.finishSending()
      try child.write("close\n")
      #expect(try child.readLine() == "closed")
      let error = try refusal { () throws(SocketError) in try half.receive(upTo: 1, within: .seconds(20)) }
      #expect(error.cause == .reset)
      let report = half.close()
      #expect(!report.isDelivered, "\(report)")
    }
  }

  @Test("Python as a client with SO_LINGER zero: a reset, and no EOF")
  func resets() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let script = """
      import socket, struct, sys
      s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
      s.sendall(b"some")
      sys.stdin.readline()
      s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
      s.close()
      """
    try python(script, "\(listener.localAddress.port ?? 0)") { child in
      let connection = try listener.accept(within: .seconds(20))
      #expect(try connection.receive(exactly: 4, within: .seconds(20)) == Array("some".utf8))
      try child.write("now\n")
      let error = try refusal { () throws(SocketError) in try connection.receive(upTo: 1, within: .seconds(20)) }
      #expect(error.cause == .reset)
      #expect(!connection.close().isDelivered)
    }
    listener.close()
  }

  @Test("fifty Python clients at once, each with a line of its own")
  func many() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let script = """
      import socket, sys, threading
      port = int(sys.argv[1]); good = []
      def one(n):
          with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
              f = s.makefile("rw", newline="\\n")
              f.write("client %d\\n" % n); f.flush()
              if f.readline() == "hello client %d\\n" % n: good.append(n)
      threads = [threading.Thread(target=one, args=(n,)) for n in range(50)]
      [t.start() for t in threads]; [t.join() for t in threads]
      print(len(good))
      """
    let port = listener.localAddress.port ?? 0
    let clients = onThread { () throws -> String? in
      defer { handle.stop() }
      let program = Programs.find("python3") ?? "python3"
      return try withChild(program, ["-u", "-c", script, "\(port)"]) { try $0.readLine(within: .seconds(30)) }
    }
    let report = listener.serve(threads: 8) { connection in
      while let line = try connection.receiveLine() { try connection.send("hello \(line)\n") }
    }
    #expect(try clients.join(within: .seconds(40)) == "50")
    #expect(report.served == 50 && report.handlersFailed == 0, "\(report)")
    #expect(report.endings[.peerFinished] == 50, "\(report)")
  }

  @Test("Python over a Unix path, in both directions")
  func unixPath() throws {
    let address = try StreamKind.unix.freshAddress
    let name = try #require(address.path).bytes
    let listener = try Listener.bind(address)
    let script = """
      import socket, sys
      s = socket.socket(socket.AF_UNIX); s.settimeout(20)
      s.connect("\\0" + sys.argv[1])
      s.sendall(b"ping\\n"); s.shutdown(socket.SHUT_WR)
      print(s.makefile().read().strip())
      """
    try python(script, String(decoding: name, as: UTF8.self)) { child in
      let connection = try listener.accept(within: .seconds(20))
      #expect(try connection.receiveLine() == "ping")
      #expect(try connection.receiveLine() == nil)
      try connection.send("pong\n")
      #expect(connection.close().isDelivered)
      #expect(try child.readLine() == "pong")
    }
    listener.close()
  }
}
