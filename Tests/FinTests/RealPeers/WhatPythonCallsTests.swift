import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A name of Python's socket module, and its counterpart in Fin.
struct PythonName: Sendable, CustomTestStringConvertible {
  let name: String
  let here: String
  let check: @Sendable () throws -> Void

  init(_ name: String, here: String, _ check: @escaping @Sendable () throws -> Void) {
    self.name = name
    self.here = here
    self.check = check
  }

  var testDescription: String { "\(name): \(here)" }
}

@Suite("Each name of Python's socket module has a counterpart in Fin", .onThreads)
struct WhatPythonCalls {
  @Test("each name of Python's socket module has a working counterpart", arguments: PythonName.all)
  func counterpart(row: PythonName) throws { try row.check() }

  /// Names of Python's socket objects that have no row, with the reason or the counterpart.
  static let without: [String: String] = [
    "family": "AddressFamily, of localAddress", "type": "option(.type)", "proto": "a stream has one protocol",
    "timeout": "timeouts", "get_inheritable": "never inheritable", "set_inheritable": "never inheritable",
    "getblocking": "every wait has a deadline: timeouts", "recvmsg": "descriptors are not passed yet",
    "recvmsg_into": "descriptors are not passed yet", "sendmsg_afalg": "kernel cryptography is not a socket's business",
    "ioctl": "Windows", "share": "Windows",
  ]

  @Test("each name of Python's socket objects has a counterpart or a reason for having none", .needsProgram("python3"))
  func complete() throws {
    let program = try #require(Programs.find("python3"))
    let script = "import socket; print(*[n for n in dir(socket.socket) if not n.startswith('_')])"
    let names = try withChild(program, ["-c", script]) { try $0.readToEnd(within: .seconds(20)) }
      .split(whereSeparator: \.isWhitespace).map(String.init)
    #expect(names.count > 30)
    let rows = Set(PythonName.all.map(\.name))
    for name in names {
      let isThere = rows.contains { $0 == name || $0.hasPrefix("\(name)(") }
      #expect(isThere != (Self.without[name] != nil), "\(name)")
    }
  }
}

extension PythonName {
  private static func pair(_ body: (borrowing Connection, borrowing Connection) throws -> Void) throws {
    let pair = try StreamKind.ipv4.connected()
    try body(pair.first, pair.second)
    pair.first.abort()
    pair.second.abort()
  }

  /// Creating streams, and transferring bytes.
  static let streams: [PythonName] = [
    PythonName("socket", here: "Socket(.ipv4)") {
      let socket = try Socket(.ipv4)
      #expect(socket.phase == .fresh)
      socket.close()
    },
    PythonName("bind", here: "socket.bind(to:)") {
      let socket = try Socket(.ipv4)
      try socket.bind(to: .v4(.loopback, port: 0))
      #expect(socket.phase == .bound)
      socket.close()
    },
    PythonName("listen", here: "socket.listen(backlog:), or Listener.bind for both") {
      let socket = try Socket(.ipv4)
      try socket.bind(to: .loopback(port: 0))
      let listener = try socket.listen(backlog: 5)
      #expect(try KernelView.tcp(localPort: listener.localAddress.port).contains { $0.state == .listen })
      listener.close()
    },
    PythonName("accept", here: "listener.accept(), whose remoteAddress is Python's second value") {
      let listener = try Listener.bind(.loopback(port: 0))
      let client = try Connection.connect(to: listener.localAddress)
      let server = try listener.accept()
      #expect(server.remoteAddress == client.localAddress)
      client.abort()
      server.abort()
      listener.close()
    },
    PythonName("connect", here: "Connection.connect(to:), or socket.connect(to:)") {
      let listener = try Listener.bind(.loopback(port: 0))
      let first = try Connection.connect(to: "127.0.0.1:\(listener.localAddress.port ?? 0)")
      let second = try Socket(.ipv4).connect(to: listener.localAddress)
      #expect(try first.tcpState() == .established && second.tcpState() == .established)
      first.abort()
      second.abort()
      listener.close()
    },
    PythonName("connect_ex", here: "the cause of the error that connect throws") {
      let listener = try Listener.bind(.loopback(port: 0))
      let address = listener.localAddress
      listener.close()
      do throws(SocketError) {
        let connection = try Connection.connect(to: address)
        connection.abort()
        Issue.record("connected without a listener")
      } catch { #expect(error.cause == .system(.connectionRefused)) }
    },
    PythonName("send", here: "sendSome, which says how many") {
      try pair { first, second throws in
        let bytes: [UInt8] = [1, 2, 3]
        let sent = try unsafe first.sendSome(bytes.span.bytes)
        #expect(sent == 3)
        #expect(try second.receive(exactly: 3) == bytes)
      }
    },
    PythonName("sendall", here: "send") {
      try pair { first, second throws in
        try first.send("all of it")
        #expect(try second.receive(exactly: 9) == Array("all of it".utf8))
      }
    },
    PythonName("sendmsg", here: "send(gathering:)") {
      try pair { first, second throws in
        try first.send(gathering: [[1], [2, 3]])
        #expect(try second.receive(exactly: 3) == [1, 2, 3])
      }
    },
    PythonName("sendfile", here: "sendFile, which says how many") {
      try pair { first, second throws in
        let file = try TestFile([1, 2, 3])
        #expect(try first.sendFile(file.descriptor, from: 1) == 2)
        #expect(try second.receive(exactly: 2) == [2, 3])
      }
    },
    PythonName("recv", here: "receive(upTo:); nil is Python's b''") {
      try pair { first, second throws in
        try first.send([1, 2, 3])
        #expect(try second.receive(upTo: 2) == [1, 2])
        #expect(try second.receive(upTo: 2) == [3])
      }
    },
    PythonName("recv(MSG_PEEK)", here: "peek(upTo:)") {
      try pair { first, second throws in
        try first.send([1, 2])
        #expect(try second.peek(upTo: 9) == [1, 2])
        #expect(try second.receive(upTo: 9) == [1, 2])
      }
    },
    PythonName("recv(MSG_WAITALL)", here: "receive(exactly:)") {
      try pair { first, second throws in
        try first.send([1, 2])
        try first.send([3])
        #expect(try second.receive(exactly: 3) == [1, 2, 3])
      }
    },
    PythonName("recv_into", here: "receive(into:)") {
      try pair { first, second throws in
        try first.send([1, 2, 3])
        var storage = [UInt8](repeating: 0, count: 3)
        try unsafe storage.withUnsafeMutableBytes { buffer in
          var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
          while output.freeCapacity > 0 { _ = try second.receive(into: &output) }
          _ = unsafe output.finalize(for: buffer)
        }
        #expect(storage == [1, 2, 3])
      }
    },
    PythonName("makefile", here: "readLine and receive(until:), which buffer") {
      try pair { first, second throws in
        try first.send("one\ntwo;rest")
        #expect(try second.receiveLine() == "one")
        #expect(try second.receive(until: UInt8(ascii: ";")) == Array("two".utf8))
        #expect(try second.receive(upTo: 9) == Array("rest".utf8))
      }
    },
  ]

  /// Closing, names, options, timeouts.
  static let ends: [PythonName] = [
    PythonName("shutdown(SHUT_WR)", here: "finishSending()") {
      let pair = try StreamKind.ipv4.connected()
      let first = pair.first.finishSending()
      #expect(try pair.second.receive(upTo: 1) == nil)
      try pair.second.send("still")
      #expect(try first.receive(exactly: 5) == Array("still".utf8))
      first.abort()
      pair.second.abort()
    },
    PythonName(
      "shutdown(SHUT_RD)",
      here: "close: TCP cannot tell a peer to stop; lingering reads what it still sends and throws it away"
    ) {
      let pair = try StreamKind.ipv4.connected()
      let second = onThread(taking: pair.second) { second in
        try second.send("unwanted")
        return second.close()
      }
      let report = pair.first.close(.lingering)
      #expect(report.ending == .peerFinished && report.bytesDiscarded == 8, "\(report)")
      #expect(try second.join().isDelivered)
    },
    PythonName("shutdown(SHUT_RDWR)", here: "close from another thread: it wakes waiting calls") {
      let pair = try StreamKind.ipv4.connected()
      let shared = pair.first.share()
      let waiting = onThread { try refusal { () throws(SocketError) in try shared.receive(upTo: 1) } }
      let closing = onThread { shared.close(.confirmed(within: .seconds(10))) }
      #expect(try waiting.join().cause == .closed)
      #expect(try pair.second.receive(upTo: 1) == nil)
      pair.second.close()
      #expect(try closing.join().isDelivered)
    },
    PythonName("close", here: "close(), which tells how it ended; a second close of a shared one tells the same") {
      let pair = try StreamKind.ipv4.connected()
      let shared = pair.first.share()
      let second = onThread(taking: pair.second) { $0.close() }
      let report = shared.close()
      #expect(shared.close() == report)
      #expect(report.isDelivered)
      #expect(try second.join().isDelivered)
    },
    PythonName("detach", here: "detach(), with what was read ahead") {
      let pair = try StreamKind.ipv4.connected()
      let given = try pair.first.detach()
      #expect(KernelView.descriptorFlags(given.descriptor.rawValue) != nil)
      let again = try Connection.adopt(given.descriptor)
      again.abort()
      pair.second.abort()
    },
    PythonName("dup", here: "duplicate()") {
      try pair { first, second throws in
        let other = try first.duplicate()
        try other.send([1])
        #expect(other.close().ending == .shared)
        try first.send([2])
        #expect(try second.receive(exactly: 2) == [1, 2])
      }
    },
    PythonName("fileno", here: "withDescriptor, which keeps the number from being closed meanwhile") {
      try pair { first, _ throws in
        let number = try first.withDescriptor { $0.rawValue }
        #expect(KernelView.descriptorFlags(number) != nil)
      }
    },
    PythonName("getsockname", here: "localAddress") {
      let listener = try Listener.bind(.loopback(port: 0))
      #expect(listener.localAddress == listener.localAddress && (listener.localAddress.port ?? 0) > 0)
      listener.close()
    },
    PythonName("getpeername", here: "remoteAddress, which a reset client has too") {
      try pair { first, second throws in
        #expect(first.remoteAddress == second.localAddress)
        #expect(second.remoteAddress == first.localAddress)
      }
    },
    PythonName("getsockopt", here: "option(_:)") {
      try pair { first, _ throws in #expect(try first.option(.noDelay)) }
    },
    PythonName("setsockopt", here: "set(_:to:), which returns what the kernel made of it") {
      try pair { first, _ throws in
        #expect(try !first.set(.keepAlive, to: false))
        let raw = SocketOption.integer("SO_RCVLOWAT", level: SOL_SOCKET, name: SO_RCVLOWAT)
        #expect(try first.set(raw, to: 5) == 5)
      }
    },
    PythonName("setblocking", here: "within: .zero, or timeouts = .all(.zero)") {
      let pair = try StreamKind.ipv4.connected()
      var first = pair.first
      #expect(try refusal { () throws(SocketError) in try first.receive(upTo: 1, within: .zero) }.cause == .timedOut)
      first.timeouts = .all(.zero)
      #expect(try refusal { () throws(SocketError) in try first.receive(upTo: 1) }.cause == .timedOut)
      first.abort()
      pair.second.abort()
    },
    PythonName("settimeout", here: "timeouts = .all(…), or within: for one call") {
      let pair = try StreamKind.ipv4.connected()
      var first = pair.first
      first.timeouts = .all(.milliseconds(5))
      #expect(try refusal { () throws(SocketError) in try first.receive(upTo: 1) }.cause == .timedOut)
      first.abort()
      pair.second.abort()
    },
    PythonName("gettimeout", here: "timeouts.receive, .send, .connect, .accept") {
      let pair = try Connection.pair(timeouts: .all(.seconds(3)))
      #expect(pair.first.timeouts.receive == .seconds(3) && pair.first.timeouts.send == .seconds(3))
      pair.first.abort()
      pair.second.abort()
    },
  ]

  /// The patterns that programs are built from.
  static let programs: [PythonName] = [
    PythonName("with socket: …", here: "withConnection, which closes on every path") {
      let listener = try Listener.bind(.loopback(port: 0))
      let endpoint = Endpoint(listener.localAddress)
      let server = onThread(taking: listener) { listener in
        let good = try listener.accept(within: .seconds(10))
        #expect(try good.receiveLine() == "hello")
        let end = good.close()
        let bad = try listener.accept(within: .seconds(10))
        let error = try refusal { () throws(SocketError) in try bad.receiveLine() }
        bad.close()
        listener.close()
        return (end, error)
      }
      let (answer, end) = try withConnection(to: endpoint) { connection in
        try connection.send("hello\n")
        return 42
      }
      #expect(answer == 42 && end.isDelivered)
      #expect(throws: RigError("on the way")) {
        try withConnection(to: endpoint) { _ in throw RigError("on the way") }
      }
      let (seen, error) = try server.join()
      #expect(seen.isDelivered)
      // When the body throws, its peer gets a reset and so learns that the connection did not end well.
      #expect(error.cause == .reset)
    },
    PythonName("a thread for each client", here: "listener.serve(threads:)") {
      let listener = try Listener.bind(.loopback(port: 0))
      let handle = listener.handle
      let address = listener.localAddress
      let clients = onThread { () throws -> Int in
        defer { handle.stop() }
        let threads = (0..<20).map { number in
          onThread {
            try withConnection(to: Endpoint(address)) { connection in
              try connection.send("\(number)\n")
              return try connection.receiveLine() == "\(number)!"
            }.result
          }
        }
        return try threads.count { try $0.join() }
      }
      let report = listener.serve(threads: 4) { connection in
        while let line = try connection.receiveLine() { try connection.send("\(line)!\n") }
      }
      #expect(try clients.join(within: .seconds(30)) == 20)
      #expect(report.served == 20)
    },
    PythonName("a lock around sendall", here: "share(): writers queue, and each send arrives whole") {
      let pair = try StreamKind.ipv4.connected()
      let shared = pair.first.share()
      let threads = (0..<8).map { number in
        onThread {
          for _ in 0..<50 { try shared.send(String(repeating: Character("\(number)"), count: 5000) + "\n") }
          return true
        }
      }
      for _ in 0..<400 {
        let line = try pair.second.receiveLine() ?? ""
        #expect(line.utf8.count == 5000 && Set(line.utf8).count == 1)
      }
      for thread in threads { #expect(try thread.join()) }
      shared.abort()
      pair.second.abort()
    },
    PythonName("threading.Lock around what threads share", here: "Mutex") {
      let total = Mutex(0)
      let listener = try Listener.bind(.loopback(port: 0))
      let handle = listener.handle
      let address = listener.localAddress
      let clients = onThread { () throws -> Bool in
        defer { handle.stop() }
        for number in 1...10 { _ = try withConnection(to: Endpoint(address)) { try $0.send("\(number)\n") } }
        return true
      }
      listener.serve(threads: 4) { connection in
        while let line = try connection.receiveLine() { total.withLock { $0 += Int(line) ?? 0 } }
      }
      #expect(try clients.join())
      #expect(total.withLock { $0 } == 55)
    },
    PythonName("except TimeoutError", here: "catch, and error.cause == .timedOut") {
      try pair { first, _ throws in
        let error = try refusal { () throws(SocketError) in try first.receive(upTo: 1, within: .milliseconds(1)) }
        #expect(error.cause == .timedOut && error.operation == .receive)
        #expect("\(error)".contains("timed out"))
      }
    },
    PythonName("except ConnectionResetError", here: "error.cause == .reset, and never b''") {
      let streams = try Strangers.connected()
      let ours = streams.ours
      streams.plain.abort()
      #expect(try refusal { () throws(SocketError) in try ours.receive(upTo: 1) }.cause == .reset)
      ours.close()
    },
    PythonName("except BrokenPipeError", here: "error.cause == .peerClosed, or .finished when it was us") {
      let pair = try Connection.pair()
      let first = pair.first
      let second = pair.second.share()
      second.abort()
      #expect(try refusal { () throws(SocketError) in try first.send([1]) }.cause == .peerClosed)
      #expect(try refusal { () throws(SocketError) in try second.send([1]) }.cause == .closed)
      first.close()
    },
    PythonName("except OSError as error: error.errno", here: "case .system(let code)") {
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: "/no/such/socket") }
      #expect(error.cause == .system(.noSuchFileOrDirectory))
    },
    PythonName("socketpair", here: "Connection.pair()") {
      let pair = try Connection.pair()
      try pair.first.send([1])
      #expect(try pair.second.receive(upTo: 9) == [1])
      pair.first.abort()
      pair.second.abort()
    },
    PythonName("create_server", here: "Listener.bind") {
      let listener = try Listener.bind("127.0.0.1:0")
      #expect(try listener.option(.reuseAddress))
      listener.close()
    },
    PythonName("create_connection", here: "Connection.connect(to: \"host:port\"), each address in turn") {
      let listener = try Listener.bind(.loopback(port: 0))
      let connection = try Connection.connect(to: "localhost:\(listener.localAddress.port ?? 0)")
      connection.abort()
      listener.close()
    },
    PythonName("fromfd", here: "Connection.adopt") {
      var numbers: [CInt] = [-1, -1]
      _ = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &numbers)
      let connection = try Connection.adopt(FileDescriptor(rawValue: numbers[0]))
      connection.abort()
      _ = Glibc.close(numbers[1])
    },
  ]
}
