import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Names of addresses and ports are those of the C library, with a deadline", .onThreads)
struct NamesOfAddresses {
  /// The answers of Python's `gethostbyaddr` and `getservbyport`, in their order.
  private static func python(_ expression: String) throws -> [String] {
    let program = try #require(Programs.find("python3"))
    let script = """
      import socket
      def f(g, *a):
          try: r = g(*a)
          except OSError: return "-"
          return r if isinstance(r, str) else r[0]
      print(*[\(expression)])
      """
    return try withChild(program, ["-c", script]) { try $0.readToEnd(within: .seconds(60)) }
      .split(whereSeparator: \.isWhitespace).map(String.init)
  }

  @Test(
    "the name of the loopback is the one that Python finds, in a thread and in a task",
    .needsProgram("python3"))
  func loopback() throws {
    let name = try #require(
      try NamesOfAddresses.python("f(socket.gethostbyaddr, '127.0.0.1')").first)
    #expect(try IPAddress("127.0.0.1")!.name(within: .seconds(60)) == name)
    #expect(try IPAddress("::ffff:127.0.0.1")!.name(within: .seconds(60)) == name)
    #expect(
      try errand { try await IPAddress("127.0.0.1")!.name(within: .seconds(60)) }.join() == name)
  }

  @Test(
    "the services of ports are those that Python finds, and differ by the kind of socket",
    .needsProgram("python3"))
  func services() throws {
    let ports: [UInt16] = [22, 53, 80, 443, 513, 514, 4, 1023, 0]
    let all = "22, 53, 80, 443, 513, 514, 4, 1023, 0"
    for kind in [SocketKind.stream, .datagram] {
      let word = kind == .stream ? "tcp" : "udp"
      let names = try NamesOfAddresses.python(
        "f(socket.getservbyport, p, '\(word)') for p in (\(all))")
      for (port, name) in zip(ports, names) {
        let found = try SystemResolver.shared.serviceName(
          at: port, kind: kind, within: .seconds(60))
        #expect(found == (name == "-" ? nil : name), "\(port)/\(word)")
      }
    }
    let found = errand { try await SystemResolver.shared.serviceName(at: 80, within: .seconds(60)) }
    #expect(try found.join() == SystemResolver.shared.serviceName(at: 80, within: .seconds(60)))
  }

  @Test(
    "an address without a name is an error that says so; a question without time is not asked",
    .needsNamespaces)
  func nameless() throws {
    // Without a network no name server can be asked.
    let namespace = try NetworkNamespace()
    let error = try namespace.run { () throws in
      try #require(throws: ResolveError.self) {
        try IPAddress("192.0.2.1")!.name(within: .seconds(60))
      }
    }
    switch error {
    case .unavailable(let name, _, _):
      #expect(name == "192.0.2.1" && "\(error)".contains("no answer about"))
    case .notFound(let name, _, _):
      #expect(name == "192.0.2.1" && "\(error)".contains("no name for"))
    default: Issue.record("\(error)")
    }
    let late = #expect(throws: ResolveError.self) {
      try IPAddress("127.0.0.1")!.name(within: .zero)
    }
    #expect(late == .timedOut(name: "127.0.0.1", after: .zero))
    let missing = ResolveError.notFound(name: "192.0.2.1", reason: "it has none", code: EAI_NONAME)
    #expect(
      "\(missing)" == "no name for \"192.0.2.1\": it has none (EAI_NONAME): use the address itself")
  }

  @Test("a cancelled task does not wait for a name")
  func cancelled() throws {
    let asking = errand { () async throws -> String in
      cancelThisTask()
      return try await IPAddress("127.0.0.1")!.name(within: .seconds(60))
    }
    let result = Result { try asking.join() }
    if case .failure(let error) = result {
      #expect(error as? ResolveError == .cancelled)
    } else {
      // The answer came first, and is not thrown away.
      #expect(try result.get() == IPAddress("127.0.0.1")!.name(within: .seconds(60)))
    }
  }
}
