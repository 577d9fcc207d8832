import Glibc
import TestTraits
import Testing

@testable import Fin

@Suite("Addresses: resolving answers within its timeout, or says why it cannot", .onThreads)
struct Resolving {
  @Test("numeric addresses and Unix paths resolve without a lookup")
  func known() throws {
    #expect(try Endpoint("1.2.3.4:80").resolve() == [.v4(IPv4Address(1, 2, 3, 4), port: 80)])
    #expect(try Endpoint("[::1]:80").resolve(.listen) == [.loopback6(port: 80)])
    #expect(try Endpoint("/run/x.sock").resolve() == [.unix("/run/x.sock")])
    #expect(try Endpoint("@x").resolve(.listen, family: .unix) == [.unix("@x")])
    // A lookup could not finish within a timeout of zero.
    #expect(try Endpoint("1.2.3.4:80").resolve(within: .zero).count == 1)
    guard case .known = try Endpoint(":0").plan(.listen, family: nil, kind: .stream) else {
      Issue.record("a question for :0")
      return
    }
  }

  @Test("an empty host is loopback when connecting, and every address when listening")
  func noHost() throws {
    #expect(try Endpoint(":80").resolve() == [.loopback(port: 80)])
    #expect(try Endpoint("*:80").resolve(.connect, family: .ipv6) == [.loopback6(port: 80)])
    #expect(try Endpoint(":80").resolve(.listen) == [.any(port: 80)])
    #expect(try Endpoint(":80").resolve(.listen, family: .ipv6) == [.any6(port: 80)])
  }

  @Test("localhost and service names come from the system's tables")
  func names() throws {
    let localhost = try Endpoint("localhost:80").resolve(family: .ipv4)
    #expect(localhost == [.loopback(port: 80)])
    #expect(try Endpoint("localhost:http").resolve(family: .ipv4) == [.loopback(port: 80)])
    #expect(try Endpoint("9.8.7.6:http").resolve() == [.v4(IPv4Address(9, 8, 7, 6), port: 80)])
    #expect(try Endpoint(":http").resolve(.listen) == [.any(port: 80)])
    #expect(try Endpoint("[::2%9]:http").resolve().first?.description == "[::2%9]:80")
  }

  @Test("an unknown service is refused with its name")
  func unknownService() {
    for endpoint in ["localhost:nosuch", "127.0.0.1:nosuch", ":nosuch"] as [Endpoint] {
      #expect(throws: ResolveError.unknownService(name: "nosuch")) { _ = try endpoint.resolve() }
    }
    #expect(ResolveError.unknownService(name: "nosuch").description.contains("\"nosuch\""))
  }

  @Test("a family that does not match the address is refused before any lookup")
  func wrongFamily() {
    let cases: [(Endpoint, AddressFamily)] = [
      ("1.2.3.4:80", .ipv6), ("[::1]:80", .ipv4), ("/run/x", .ipv4), ("localhost:80", .unix), ("1.2.3.4:http", .ipv6),
    ]
    for (endpoint, family) in cases {
      #expect(throws: ResolveError.wrongFamily(endpoint: endpoint.description, wanted: family)) {
        _ = try endpoint.resolve(family: family)
      }
    }
    #expect(throws: ResolveError.self) { _ = try Endpoint("(unnamed)").resolve(.connect) }
    #expect(throws: Never.self) { _ = try Endpoint("(unnamed)").resolve(.listen) }
  }

  @Test("an invalid string literal throws when it is resolved")
  func malformedLiteral() throws {
    let host = "::1"
    let endpoint: Endpoint = "\(host):80"
    let problem = try #require(endpoint.problem)
    #expect(throws: ResolveError.malformed(problem)) { _ = try endpoint.resolve() }
  }

  @Test("a lookup without an answer is abandoned at the deadline, and its late answer is dropped")
  func deadline() throws {
    let table = Questions(limit: 1, perName: 1)
    let hold = OneShot<Bool>()
    let resolver = TableResolver(["slow.example": [.loopback(port: 1)], "b.example": [.loopback(port: 2)]], hold: hold)
    let lookup = Self.lookup("slow.example", resolver, table)
    let clock = ContinuousClock()
    let start = clock.now
    #expect(throws: ResolveError.timedOut(name: "slow.example", after: .milliseconds(50))) {
      _ = try lookup.answer(within: .milliseconds(50))
    }
    let waited = start.duration(to: clock.now)
    #expect(waited >= .milliseconds(50) && waited < .seconds(20))
    #expect(table.callerCount == 0)
    // The abandoned question's thread still takes the only place, so another question is refused and not queued.
    let other = Self.lookup("b.example", resolver, table)
    #expect(throws: ResolveError.tooManyLookups(limit: 1)) { _ = try other.answer(within: .seconds(60)) }
    hold.deliver(true)
    var tries = 0
    while table.count > 0, tries < 60_000 {
      usleep(1000)
      tries += 1
    }
    #expect(try other.answer(within: .seconds(60)) == [.loopback(port: 80)])
  }

  @Test("looking up a name that does not exist ends by the deadline, whatever the name servers do")
  func realResolver() {
    let clock = ContinuousClock()
    let start = clock.now
    // RFC 2606 reserves .invalid. A machine without name servers reports an error, or does not answer at all.
    #expect(throws: ResolveError.self) { _ = try Endpoint("no-one.invalid:80").resolve(within: .milliseconds(200)) }
    #expect(start.duration(to: clock.now) < .seconds(20))
  }

  @Test("a timeout of zero expires without a lookup")
  func noTime() {
    for duration in [Duration.zero, .seconds(-1)] {
      let resolver = TableResolver()
      #expect(throws: ResolveError.timedOut(name: "a.example", after: duration)) {
        _ = try Self.lookup("a.example", resolver).answer(within: duration)
      }
      #expect(resolver.questions.isEmpty)
    }
  }

  @Test("the longest duration means no limit, and does not overflow")
  func longest() throws {
    let longest = Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999)
    let lookup = Self.lookup("a.example", TableResolver(["a.example": [.loopback(port: 3)]]))
    #expect(try lookup.answer(within: longest) == [.loopback(port: 80)])
    #expect(ResolveError.timedOut(name: "a", after: longest).description.contains("within more than 30 years"))
  }

  @Test("a thousand answers are cut to the limit, in order, without duplicates")
  func manyAnswers() throws {
    let listed = (0..<1000).flatMap { number in
      let address = SocketAddress.v4(IPv4Address(10, 0, UInt8(number / 256), UInt8(number % 256)), port: 0)
      return [address, address]
    }
    let found = try Self.kept(of: listed, by: Self.lookup("many.example", limit: 64))
    #expect(found.count == 64)
    #expect(found.first == .v4(IPv4Address(10, 0, 0, 0), port: 80))
    #expect(found.last == .v4(IPv4Address(10, 0, 0, 63), port: 80))
    #expect(try Self.kept(of: listed, by: Self.lookup("many.example", limit: 2000)).count == 1000)
    #expect(throws: ResolveError.self) { try Self.kept(of: [], by: Self.lookup("none.example")) }
  }

  @Test("a resolve error says what a person can do")
  func descriptions() {
    let notFound = ResolveError.notFound(name: "a\u{1B}.example", reason: "Name or service not known", code: EAI_NONAME)
    #expect(
      notFound.description == "no address for \"a\\x1b.example\": Name or service not known (EAI_NONAME): "
        + "check the spelling, or write the address in numbers")
    let late = ResolveError.timedOut(name: "a.example", after: .milliseconds(50))
    #expect(late.description.contains("within 50 ms: "))
  }

  private static func lookup(
    _ name: String, _ resolver: any Resolver = SystemResolver.shared, _ table: Questions? = nil, limit: Int = 64
  ) -> Lookup {
    Lookup(
      name: name, address: nil, port: .number(80), family: nil, kind: .stream, limit: limit, resolver: resolver,
      table: table)
  }

  /// The addresses that the lookup keeps of a list as `getaddrinfo` returns it.
  private static func kept(of addresses: [SocketAddress], by lookup: Lookup) throws -> [SocketAddress] {
    let entries = UnsafeMutablePointer<addrinfo>.allocate(capacity: max(addresses.count, 1))
    let storage = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: max(addresses.count, 1))
    defer {
      unsafe entries.deallocate()
      unsafe storage.deallocate()
    }
    for (index, address) in addresses.enumerated() {
      unsafe storage[index] = sockaddr_storage()
      let room = unsafe UnsafeMutableRawPointer(storage + index)
      let length = unsafe address.withSockaddr { pointer, length in
        unsafe room.copyMemory(from: pointer, byteCount: Int(length))
        return length
      }
      unsafe entries[index] = addrinfo()
      unsafe entries[index].ai_addrlen = length
      unsafe entries[index].ai_addr = room.assumingMemoryBound(to: sockaddr.self)
      unsafe entries[index].ai_next = index + 1 < addresses.count ? entries + index + 1 : nil
    }
    let found = unsafe SystemResolver.addresses(in: addresses.isEmpty ? nil : UnsafePointer(entries))
    return try lookup.kept(of: found)
  }
}
