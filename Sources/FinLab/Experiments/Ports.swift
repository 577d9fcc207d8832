import CFin
import Fin
import Glibc

/// Experiments about the sockets that occupy a port, and for how long.
enum Ports {
  static let reuseAddress = Experiment(
    id: "reuse-address", articles: [.a],
    claim: "SO_REUSEADDR lets a server start again over TIME-WAIT.",
    truth: """
      Only if the old socket had it as well (accepted sockets inherit it from their listener). It takes no port from \
      a listener that still listens: no hijacking on Linux.
      """, waits: false,
    naive: { notebook in
      for (old, new) in [(false, true), (true, true), (true, false)] {
        let recipe = "the old server \(old ? "with" : "without") SO_REUSEADDR, the new one \(new ? "with" : "without")"
        try notebook.trial(recipe) { trial in
          let listener = try Pair.listener(reusing: old)
          let pair = try Pair(through: listener)
          RawSyscalls.close(pair.server)
          _ = RawSyscalls.recv(pair.client)
          RawSyscalls.close(pair.client)
          let state = wait(atMost: .seconds(5)) { pair.serverRow?.state == "TIME-WAIT" ? "TIME-WAIT" : nil }
          trial.expect("on the port", .text(state ?? "nothing"), from: "/proc/net/tcp", equals: .text("TIME-WAIT"))
          let next = RawSyscalls.socket()
          if new { RawSyscalls.set(next, SOL_SOCKET, SO_REUSEADDR, 1) }
          let bound = RawSyscalls.bind(next, port: pair.serverPort)
          trial.expect(
            "bind said", .text(bound.description), from: "bind", equals: .text(old && new ? "0" : "EADDRINUSE"))
          RawSyscalls.close(next)
          trial.outcome = "\(old ? "with" : "without") it, then \(new ? "with" : "without"): bind says \(bound)"
        }
      }
      try notebook.trial("bind with SO_REUSEADDR while another listens") { trial in
        let listener = try Pair.listener()
        let thief = RawSyscalls.socket()
        RawSyscalls.set(thief, SOL_SOCKET, SO_REUSEADDR, 1)
        let bound = RawSyscalls.bind(thief, port: RawSyscalls.port(of: listener))
        trial.expect("bind said", .text(bound.description), from: "bind", equals: .text("EADDRINUSE"))
        RawSyscalls.close(thief)
        RawSyscalls.close(listener)
        trial.outcome = "bind says \(bound)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("Listener.bind over its own TIME-WAIT") { trial in
        let listener = AnySocket(try Listener.bind(.loopback(port: 0)), world)
        let port = listener.localAddress?.port ?? 0
        let client = RawSyscalls.socket()
        _ = RawSyscalls.connect(client, port: port)
        let connection = try await listener.accept(within: .seconds(5))
        await connection.close()
        _ = RawSyscalls.recv(client)
        let clientPort = RawSyscalls.port(of: client)
        RawSyscalls.close(client)
        let state = wait(atMost: .seconds(5)) {
          TCPTable.row(local: port, remote: clientPort).flatMap { $0.state == "TIME-WAIT" ? $0.state : nil }
        }
        trial.expect("on the port", .text(state ?? "nothing"), from: "/proc/net/tcp", equals: .text("TIME-WAIT"))
        listener.close()
        let again = await Outcome(try Listener.bind(.loopback(port: port)).close())
        let said = again.error.map { "\($0)" } ?? "bound"
        trial.expect("the next bind", .text(said), from: "bind", equals: .text("bound"))
        trial.outcome = "\(said) over \(state ?? "nothing")"
      }
      try await notebook.trial("Listener.bind while another listens") { trial in
        let listener = AnySocket(try Listener.bind(.loopback(port: 0)), world)
        let port = listener.localAddress?.port ?? 0
        let second = await Outcome(try Listener.bind(.loopback(port: port)).close())
        let said = second.error.map { "\($0)" } ?? "bound"
        trial.expect(
          "it is refused, and says why", .flag(said.contains("EADDRINUSE")), from: "bind", equals: .flag(true))
        trial.note("in words", .text(said), from: "bind")
        listener.close()
        trial.outcome = said.contains("EADDRINUSE") ? "refused while another listens" : said
      }
    })

  static let portExhaustion = Experiment(
    id: "port-exhaustion", articles: [.a, .b],
    claim: "Opening and closing often runs out of ports.",
    truth: """
      The number of ports limits each destination separately, and exactly. A bind before the connect takes the port \
      from every destination and every program, unless IP_BIND_ADDRESS_NO_PORT is set first.
      """,
    naive: { notebook in
      try Namespace.enter(ports: ports)
      try notebook.trial("socket(); connect(), with \(ports.count) ports") { trial in
        let sockets = try exhaust(&trial, binding: .no)
        let other = Outgoing(.no, to: sockets.second)
        trial.expect(
          "then to another destination", .text(other.answer.description), from: "connect", equals: .text("0"))
        trial.outcome =
          "\(sockets.count) to one destination, then \(sockets.last); to another: \(other.answer)"
        RawSyscalls.close(other.socket)
        sockets.close()
      }
      try notebook.trial("bind(address, 0) before each connect()") { trial in
        let sockets = try exhaust(&trial, binding: .withPort)
        let other = Outgoing(.no, to: sockets.second)
        trial.expect(
          "then a plain connect elsewhere", .text(other.answer.description), from: "connect",
          equals: .text("EADDRNOTAVAIL"))
        trial.outcome = "\(sockets.count) connections; then a plain connect elsewhere says \(other.answer)"
        RawSyscalls.close(other.socket)
        sockets.close()
      }
      try notebook.trial("IP_BIND_ADDRESS_NO_PORT; bind(address, 0); connect()") { trial in
        let sockets = try exhaust(&trial, binding: .withoutPort)
        let other = Outgoing(.no, to: sockets.second)
        trial.expect(
          "then a plain connect elsewhere", .text(other.answer.description), from: "connect", equals: .text("0"))
        trial.outcome = "\(sockets.count) connections; then a plain connect elsewhere says \(other.answer)"
        RawSyscalls.close(other.socket)
        sockets.close()
      }
    },
    fin: { notebook, world in
      let recipe = "Socket(.ipv4); bind(to: .loopback(port: 0), leavingPortOpen: true); connect(to:)"
      try await notebook.trial("\(recipe), with \(ports.count) ports") { trial in
        let (first, second) = (try Pair.listener(port: 5001), try Pair.listener(port: 5002))
        func connect(to port: UInt16, keeping kept: inout [AnySocket<SharedConnection>]) async -> SocketError? {
          do throws(SocketError) {
            let socket = try Socket(.ipv4)
            try socket.bind(to: .loopback(port: 0), leavingPortOpen: true)
            kept.append(try await world.connect(socket, to: .loopback(port: port)).share())
            return nil
          } catch { return error }
        }
        var kept: [AnySocket<SharedConnection>] = []
        var refusal: SocketError?
        while refusal == nil && kept.count <= ports.count { refusal = await connect(to: 5001, keeping: &kept) }
        let count = kept.count
        trial.expect("connections to one destination", .count(count), from: "connect", equals: .count(ports.count))
        let said = refusal.map { "\($0)" } ?? "connected"
        trial.expect("the next says why", .flag(said.contains("EADDRNOTAVAIL")), from: "connect", equals: .flag(true))
        trial.note("in words", .text(said), from: "connect")
        while kept.count < 2 * count, await connect(to: 5002, keeping: &kept) == nil {}
        trial.expect("then to another destination", .count(kept.count - count), from: "connect", equals: .count(count))
        for connection in kept { await connection.abort() }
        RawSyscalls.close(first)
        RawSyscalls.close(second)
        trial.outcome = "\(count) to one destination, and \(kept.count - count) to another"
      }
    })

  static let ports: ClosedRange<UInt16> = 41000...41007

  private enum Binding {
    case no
    case withPort
    case withoutPort
  }

  /// One outgoing connection attempt.
  private struct Outgoing {
    let socket: Int32
    let answer: Answer

    init(_ binding: Binding, to port: UInt16) {
      socket = RawSyscalls.socket()
      if binding == .withoutPort { RawSyscalls.set(socket, Int32(IPPROTO_IP), Int32(FIN_IP_BIND_ADDRESS_NO_PORT), 1) }
      let bound = binding == .no ? Answer(value: 0, code: 0) : RawSyscalls.bind(socket)
      answer = bound.succeeded ? RawSyscalls.connect(socket, port: port) : bound
    }
  }

  private struct Exhausted {
    let sockets: [Int32]
    let count: Int
    let last: Answer
    /// The port of a second destination, to which there is no connection yet.
    let second: UInt16

    func close() {
      for socket in sockets {
        RawSyscalls.setResetOnClose(socket)
        RawSyscalls.close(socket)
      }
    }
  }

  /// Connects to one destination until there is no port left.
  private static func exhaust(_ trial: inout Trial, binding: Binding) throws -> Exhausted {
    let (first, second) = (try Pair.listener(port: 5001), try Pair.listener(port: 5002))
    var sockets = [first, second]
    var count = 0
    while true {
      let attempt = Outgoing(binding, to: 5001)
      sockets.append(attempt.socket)
      if attempt.answer.succeeded && count <= ports.count {
        count += 1
        continue
      }
      trial.expect("connections to one destination", .count(count), from: "connect", equals: .count(ports.count))
      let call = binding == .withPort ? "bind" : "connect"
      let wanted = binding == .withPort ? "EADDRINUSE" : "EADDRNOTAVAIL"
      trial.expect("the next said", .text(attempt.answer.description), from: call, equals: .text(wanted))
      return Exhausted(sockets: sockets, count: count, last: attempt.answer, second: 5002)
    }
  }
}

/// A network namespace of this process's own.
enum Namespace {
  /// Enters a new network namespace whose loopback interface is up and whose clients get these ports.
  static func enter(ports: ClosedRange<UInt16>) throws {
    let newNetwork: Int32 = 0x4000_0000
    let newUser: Int32 = 0x1000_0000
    guard fin_unshare(geteuid() == 0 ? newNetwork : newUser | newNetwork) == 0 else {
      throw Skip("needs a network namespace of its own: \(Answer(value: -1, code: fin_errno()))")
    }
    guard raiseLoopback() else { throw Skip("the loopback interface of a new network namespace cannot be brought up") }
    let range = "\(ports.lowerBound) \(ports.upperBound)\n"
    guard Kernel.write(range, to: "/proc/sys/net/ipv4/ip_local_port_range") else {
      throw Skip("/proc/sys/net/ipv4/ip_local_port_range of a new network namespace cannot be written")
    }
  }

  private static func raiseLoopback() -> Bool {
    let socket = RawSyscalls.socket()
    defer { RawSyscalls.close(socket) }
    // struct ifreq: sixteen bytes for the name, then a short for the flags; forty bytes in all.
    var request = [Int32](repeating: 0, count: 10)
    let setFlags: UInt64 = 0x8914
    unsafe request.withUnsafeMutableBytes { bytes in
      unsafe bytes.copyBytes(from: "lo".utf8)
      unsafe bytes.storeBytes(of: Int16(1 | 0x40), toByteOffset: 16, as: Int16.self)
    }
    return unsafe fin_ioctl_int(socket, setFlags, &request) == 0
  }
}
