import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

@Suite("Resolvers: one question at a time for each name, and no name takes the place of another", .onThreads)
struct ResolverTests {
  private func lookup(
    _ name: String, _ resolver: any Resolver, _ table: Questions?, port: Endpoint.Port = .number(80),
    family: AddressFamily? = nil
  ) -> Lookup {
    Lookup(
      name: name, address: nil, port: port, family: family, kind: .stream, limit: 64, resolver: resolver, table: table)
  }

  @Test("callers with equal questions share one answer, in threads and in tasks, each with its own port")
  func shared() throws {
    let table = Questions(limit: 4, perName: 4)
    let hold = OneShot<Bool>()
    let resolver = TableResolver(["a.test": [.loopback(port: 0)]], hold: hold)
    let threads = (1...5).map { number in
      onThread { try self.lookup("a.test", resolver, table, port: .number(number)).answer(within: .seconds(30)) }
    }
    let tasks = (6...10).map { number in
      errand { try await self.lookup("a.test", resolver, table, port: .number(number)).answer(within: .seconds(30)) }
    }
    try eventually("callers", equals: 10) { table.callerCount }
    hold.deliver(true)
    for (index, thread) in threads.enumerated() { #expect(try thread.join() == [.loopback(port: UInt16(index + 1))]) }
    for (index, task) in tasks.enumerated() { #expect(try task.join() == [.loopback(port: UInt16(index + 6))]) }
    #expect(resolver.questions.count == 1)
    #expect(table.count == 0 && table.callerCount == 0)
    // An answer is not kept.
    _ = try lookup("a.test", resolver, table).answer(within: .seconds(30))
    #expect(resolver.questions.count == 2)
  }

  @Test("a failure is shared as well; another family, another service and another resolver are other questions")
  func different() throws {
    let table = Questions(limit: 9, perName: 4)
    let hold = OneShot<Bool>()
    let resolver = TableResolver(hold: hold)
    let other = TableResolver(hold: hold)
    let asking = [
      lookup("a.test", resolver, table), lookup("a.test", resolver, table),
      lookup("a.test", resolver, table, family: .ipv4), lookup("a.test", resolver, table, port: .service("http")),
      lookup("a.test", other, table),
    ].map { lookup in onThread { try lookup.answer(within: .seconds(30)) } }
    try eventually("callers", equals: 5) { table.callerCount }
    #expect(table.count == 4)
    hold.deliver(true)
    for thread in asking { #expect(throws: ResolveError.self) { try thread.join() } }
    #expect(resolver.questions.count == 3 && other.questions.count == 1)
  }

  @Test("a name whose servers are dead takes its share of the threads, and all other names are answered")
  func deadName() throws {
    let table = Questions(limit: 6, perName: 2)
    let hold = OneShot<Bool>()
    let dead = TableResolver(hold: hold)
    let alive = TableResolver(["b.test": [.loopback(port: 0)]])
    let families: [AddressFamily?] = [nil, .ipv4, .ipv6]
    let asking = families.prefix(2).map { family in
      onThread { try self.lookup("dead.test", dead, table, family: family).answer(within: .seconds(30)) }
    }
    try eventually("callers", equals: 2) { table.callerCount }
    #expect(throws: ResolveError.tooManyLookupsOfName(name: "dead.test", limit: 2)) {
      _ = try lookup("dead.test", dead, table, family: .ipv6).answer(within: .seconds(30))
    }
    // A hundred callers who give up occupy nothing.
    for _ in 0..<100 {
      #expect(throws: ResolveError.self) { _ = try lookup("dead.test", dead, table).answer(within: .milliseconds(1)) }
    }
    #expect(table.count == 2 && table.callerCount == 2)
    #expect(try lookup("b.test", alive, table).answer(within: .seconds(30)) == [.loopback(port: 80)])
    hold.deliver(true)
    for thread in asking { #expect(throws: ResolveError.self) { try thread.join() } }
    try eventually("no question", equals: 0) { table.count }
  }

  @Test("localhost, literals and their services do not wait behind the dead")
  func local() async {
    // In a process of its own, because other tests ask the process's table as well.
    await #expect(processExitsWith: .success) { try ResolverTests.askBesideTheDead() }
  }

  private static func askBesideTheDead() throws {
    let hold = OneShot<Bool>()
    let dead = TableResolver(hold: hold)
    let asking = (0..<256).map { number in
      errand {
        try? await Endpoint(host: "\(number).dead.test", port: 80).resolve(within: .seconds(30), resolver: dead)
      }
    }
    try eventually("questions", equals: 256) { Questions.shared.count }
    #expect(throws: ResolveError.tooManyLookups(limit: 256)) {
      _ = try Endpoint("another.test:80").resolve(within: .seconds(30))
    }
    #expect(try Endpoint("localhost:80").resolve(family: .ipv4) == [.loopback(port: 80)])
    #expect(try inTask { try await Endpoint("LOCALHOST:80").resolve(family: .ipv4) } == [.loopback(port: 80)])
    #expect(try Endpoint("9.8.7.6:http").resolve() == [.v4(IPv4Address(9, 8, 7, 6), port: 80)])
    #expect(try Endpoint("9.8.7.6:80").resolve() == [.v4(IPv4Address(9, 8, 7, 6), port: 80)])
    hold.deliver(true)
    for task in asking { _ = try task.join(within: .seconds(30)) }
  }

  @Test(
    "the questions that files of this machine answer",
    arguments: [
      ("localhost", true), ("LocalHost.", true), ("api.localhost", true), ("", true), ("localhost.example", false),
      ("notlocalhost", false), ("example.net", false),
    ])
  func isLocal(name: String, isLocal: Bool) {
    let question = NameQuestion(name: name, service: "http", family: nil, kind: .stream)
    #expect(question.isLocal == isLocal)
  }

  @Test("a resolver of the program's own answers resolve and connect, and its wrong families are left out")
  func ofItsOwn() throws {
    let resolver = TableResolver(["a.test": [.loopback6(port: 5), .loopback(port: 5), .loopback(port: 5)]])
    #expect(try Endpoint("a.test:9").resolve(resolver: resolver) == [.loopback6(port: 9), .loopback(port: 9)])
    #expect(try Endpoint("a.test:9").resolve(family: .ipv4, resolver: resolver) == [.loopback(port: 9)])
    #expect(try Endpoint("a.test:http").resolve(family: .ipv4, resolver: resolver) == [.loopback(port: 5)])
    #expect(
      try inTask { try await Endpoint("a.test:9").resolve(limit: 1, resolver: resolver) } == [.loopback6(port: 9)])
    #expect(resolver.questions.map(\.service) == [nil, nil, "http", nil])
    let error = try refusal { () throws(SocketError) in
      try Connection.connect(to: "b.test:9", options: DialOptions(resolver: resolver))
    }
    guard case .unresolved(.notFound(let name, _, _)) = error.cause else { throw RigError("\(error)") }
    #expect(name == "b.test")
  }
}
