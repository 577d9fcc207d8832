import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("The port budget, from rows", .onThreads)
struct PortBudgetCounts {
  private let local = NetworkAddress(127, 0, 0, 1)

  /// A row of a connection, by default to port 443 of 10.0.0.1.
  private func socket(
    _ port: UInt16, _ state: SocketState = .established, from source: UInt64 = 0x7f00_0001, to remote: UInt16 = 443,
    cookie: UInt64 = 0, namespace: UInt16 = 0, expires: UInt32 = 0
  ) -> InetSocket {
    var socket = InetSocket()
    socket.state = state
    socket.localPort = port
    socket.localBits = AddressBits(low: source)
    socket.remoteBits = AddressBits(low: 0x0a00_0001)
    socket.remotePort = state == .listen || state == .bound ? 0 : remote
    if socket.remotePort == 0 { socket.remoteBits = AddressBits() }
    socket.cookie = cookie == 0 ? UInt64(port) : cookie
    socket.namespace = namespace
    socket.expires = expires
    socket.inode = state == .timeWait ? 0 : UInt32(port)
    socket.options = 0
    return socket
  }

  private func census(_ sockets: [InetSocket], seconds: UInt64 = 0, opens: Int64? = nil) -> Census {
    var namespaces = [Namespace(inode: 1), Namespace(inode: 2, isOwn: false)]
    for index in namespaces.indices {
      namespaces[index].limits.ephemeralPorts = 40000...40099
      namespaces[index].limits.timeWaitReuse = 0
      if let opens { namespaces[index].counters = Counters(["Tcp.ActiveOpens": opens]) }
    }
    return Census(
      sockets: ContiguousArray(sockets), namespaces: namespaces,
      when: Census.Moment(monotonic: seconds * 1_000_000_000))
  }

  @Test("each source, destination, port and namespace has its own budget; SYN-SENT counts, a server's side does not")
  func routes() {
    let all = PortBudget.all(
      in: census([
        socket(40000), socket(40002, .synSent), socket(40004, .timeWait), socket(40006, .finWait2),
        socket(40008, from: 0x7f00_0002), socket(40008, to: 444), socket(40000, namespace: 1),
        // A port outside the ephemeral range, and the server's side of a connection.
        socket(50000), socket(40050, .listen), socket(40050, to: 55555),
      ]))
    let own = all.first { $0.route.namespace == 0 && $0.route.port == 443 && $0.route.source == local }
    #expect(own?.connected == 3 && own?.resting == 1 && own?.bound == 1 && own?.free == 95 && own?.capacity == 100)
    #expect(all.count { !$0.route.isAnyOther } == 4)
    #expect(all.allSatisfy { $0.route.port != 55555 })
    #expect(all.first { $0.route.namespace == 1 }?.bound == 0)
    // The fullest first.
    #expect(all.first?.connected == 3)
  }

  @Test("budgets that are equally full come by port, then by the value of their addresses and not by their text")
  func order() {
    let sources: [UInt64] = [0x7f00_000a, 0x7f00_0002, 0x7f00_0064]
    let all = PortBudget.all(in: census(sources.map { socket(40000, from: $0) } + [socket(40002, to: 80)]))
    let routes = all.filter { !$0.route.isAnyOther }.map { "\($0.route.source) \($0.route.port)" }
    #expect(routes == ["127.0.0.1 80", "127.0.0.2 443", "127.0.0.10 443", "127.0.0.100 443"])
  }

  @Test("IPv4 through an IPv6 socket is the same route; reserved ports are not available")
  func mapped() throws {
    var mapped = socket(40010)
    mapped.isIPv6 = true
    mapped.localBits.low |= 0xffff << 32
    mapped.remoteBits.low |= 0xffff << 32
    var census = census([socket(40000), mapped])
    census.namespaces[0].limits.reservedPorts = [40090...40099, 50000...50010]
    let budget = try #require(PortBudget.all(in: census).first)
    #expect(budget.connected == 2 && budget.capacity == 90 && budget.free == 88)
    #expect(budget.route.source == local)
  }

  @Test("a bound port counts once in every budget; a destination without connections has a budget too")
  func bound() throws {
    var lateBound = socket(40020)
    lateBound.options = 1 << 8
    let all = PortBudget.all(
      in: census([socket(40001, .bound), socket(40003, .bound, from: 0), socket(40000), lateBound]))
    let route = try #require(all.first { !$0.route.isAnyOther })
    #expect(route.bound == 2 && route.boundHere == 1 && route.free == 96 && route.boundProbably == 0)
    let other = try #require(all.first { $0.route.isAnyOther })
    #expect(other.bound == 2 && other.free == 98 && other.boundHere == 2)

    // Twenty odd port numbers of one program: bind chose them. Each counts as a connection of its own route, and as
    // bound for all others.
    let odd = (0..<20).map { socket(40001 + 2 * UInt16($0), to: $0 < 15 ? 443 : 444) }
    let probable = PortBudget.all(in: census(odd))
    let first = try #require(probable.first { $0.route.port == 443 })
    #expect(first.connected == 15 && first.bound == 5 && first.boundProbably == 5 && first.free == 80)
    #expect(probable.first { $0.route.isAnyOther }?.bound == 20)
    #expect(first.remedies() == [])
    #expect(
      PortBudget.all(in: census((0..<21).map { socket(40001 + 2 * UInt16($0), .bound) })).first?.remedies()
        == [.bindBeforeConnect])
  }

  @Test("an unknown, single-port or fully reserved range causes no division by zero")
  func odd() {
    var unknown = census([socket(40000)])
    unknown.namespaces[0].limits.ephemeralPorts = nil
    #expect(PortBudget.all(in: unknown).isEmpty)
    var one = census([socket(40000)])
    one.namespaces[0].limits.ephemeralPorts = 40000...40000
    let budget = PortBudget.all(in: one).first
    #expect(budget?.free == 0 && budget?.share == 1)
    one.namespaces[0].limits.reservedPorts = [40000...40000]
    #expect(PortBudget.all(in: one).isEmpty)
  }

  @Test("two censuses: new connections, the upper bound from the counter, and the time until the ports are exhausted")
  func pace() throws {
    let before = census((0..<10).map { socket(40000 + 2 * $0) }, seconds: 100, opens: 1000)
    // Ten more per second are held. In 2 s there were 25 connects, some of which have left no trace.
    let after = census((0..<30).map { socket(40000 + 2 * $0) }, seconds: 102, opens: 1025)
    let budget = try #require(PortBudget.all(in: after, since: before).first)
    let pace = try #require(budget.pace)
    #expect(pace.interval == .seconds(2) && pace.opened == 20 && pace.openedAtMost == 25 && pace.growth == 20)
    #expect(pace.openedPerSecond == 10 && pace.openedPerSecondAtMost == 12.5)
    // 70 ports are left: 7 s, with a tolerance of one connection in 2 s.
    let since = try #require(pace.exhaustion)
    #expect(since.lower < 7000 && since.lower > 6600 && since.upper > 7000 && since.upper < 7400)

    let still = try #require(PortBudget.all(in: before, since: before).first?.pace)
    #expect(still.opened == 0 && still.growth == 0 && still.exhaustion == nil)
    // The second census is older than the first, which only a mistaken caller can pass.
    #expect(PortBudget.all(in: before, since: after).first?.pace?.exhaustion == nil)
  }

  @Test("the forecast includes ports that return from TIME-WAIT: a low rate never exhausts the ports, a high rate does")
  func forecast() {
    func seconds(_ held: Double, _ rested: Double, taken: Int = 10, returning: [Double] = []) -> Double? {
      PortForecast(taken: taken, limit: 100, held: held, rested: rested, rest: 60, returning: returning).exhaustion
    }
    #expect(seconds(0, 0) == nil)
    #expect(seconds(9, 0) == 10)
    #expect(seconds(0, 9) == 10)
    // In the end 90 are in TIME-WAIT at 1.5 per second; with the ten that is 100.
    #expect(seconds(0, 1.5) == 60)
    #expect(seconds(0, 1.4) == nil)
    // One more is held every 10 s, besides 60 in TIME-WAIT and the ten: 30 more, which takes 300 s.
    let late = seconds(0.1, 1) ?? 0
    #expect(late > 299 && late < 301)
    // 50 are in TIME-WAIT now and return at 5 s, which leaves 48 taken. At a higher rate the ports run out before.
    let returning = [Double](repeating: 5, count: 50)
    let back = seconds(0, 1.6, taken: 90, returning: returning) ?? 0
    #expect(back > 37.4 && back < 37.6)
    let before = seconds(0, 2.1, taken: 90, returning: returning) ?? 0
    #expect(before > 4.7 && before < 4.8)
    #expect(seconds(1, 0, taken: 100) == 0)
  }

  @Test("100,000 sockets in 1,000 routes are counted per route")
  func thousands() {
    let many = (0..<100_000).map { (number: Int) -> InetSocket in
      socket(UInt16(40000 + number % 100), to: UInt16(number / 100 + 1), cookie: UInt64(number + 1))
    }
    let all = PortBudget.all(in: census(many))
    #expect(all.count == 1000 && all.allSatisfy { $0.connected == 100 && $0.free == 0 })
  }
}
