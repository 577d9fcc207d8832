import Glibc
import TestTraits
import Testing

@testable import FinDoctor

@Suite("History: what is too short for an interval is counted", .needsSQLite, .onThreads, .timeLimit(.minutes(30)))
struct PassingTests {
  private typealias Holding = MadeUpMachine.Holding
  private static let start = HistoryStage.midnight
  private static let api = Holding(pid: 100, started: 500, name: "api")
  private static let web = Holding(pid: 101, started: 501, name: "web")

  private func client(
    _ number: UInt64, _ state: SocketState = .established, peer: UInt8 = 1, _ holders: [Holding] = [api]
  ) -> MadeUpMachine.Socket {
    .init(
      cookie: 1000 + number, port: UInt16(40_000 + number), remotePort: 443, peer: peer, state: state,
      holders: state == .timeWait ? [] : holders)
  }

  private func budgets(_ census: Census) -> [String] {
    PortBudget.all(in: census).map { budget in
      let route = "\(budget.route.source) \(budget.route.destination.with(port: budget.route.port))"
      return "\(route): \(budget.connected) \(budget.resting) \(budget.bound) \(budget.free)"
    }.sorted()
  }

  /// A key frame, and ten seconds later a look without one: 40 connections of a program of which 30 have entered
  /// TIME-WAIT, five in TIME-WAIT that no look saw open, three of a server, and one to another destination.
  private func looks(_ stage: HistoryStage, _ ports: ClosedRange<UInt16> = 32_768...60_999) throws -> MadeUpMachine {
    var machine = MadeUpMachine()
    machine.ephemeralPorts = ports
    let listener = MadeUpMachine.Socket(cookie: 1, holders: [Self.web])
    machine.sockets = [listener] + (0..<40).map { client($0) }
    let writer = try stage.writer()
    #expect(try machine.look(writer).hasFrame)
    machine.now = 10_000
    machine.sockets = [listener] + (0..<10).map { client($0) } + (10..<45).map { client($0, .timeWait) }
    machine.sockets += (0..<3).map {
      .init(cookie: 2000 + $0, port: 8080, remotePort: UInt16(50_000 + $0), state: .timeWait, holders: [])
    }
    machine.sockets.append(client(60, .timeWait, peer: 2))
    #expect(try !machine.look(writer).hasFrame)
    return machine
  }

  @Test("fin ports counts TIME-WAIT at each look as it did live, and names the program that a look saw")
  func budgets() throws {
    let stage = try HistoryStage()
    let machine = try looks(stage)
    let answer = try HistoryReader(stage.folder).answer(at: Self.start + 10_000)
    let census = answer.record.census
    #expect(!answer.isFrame && answer.resting == 0)
    #expect(budgets(census) == budgets(machine.census))
    let first = try #require(PortBudget.all(in: census).first { $0.route.destination.description == "10.0.0.1" })
    #expect(first.connected == 10 && first.resting == 35 && first.users == [.init(pid: 100, ports: 40)])
    let served = try #require(census.recordedRests.first { $0.localPort == 8080 })
    #expect(served.count == 3 && served.pid == 101 && served.remotePort == 0)
    // At the key frame, rows have them.
    #expect(try HistoryReader(stage.folder).answer(at: Self.start).record.census.recordedRests.isEmpty)
  }

  @Test("the listener of an address is the one at that very address, and otherwise the one at the wildcard")
  func whose() {
    var sockets: ContiguousArray<InetSocket> = []
    var holders: ContiguousArray<Holder> = []
    for (number, address) in [UInt64(0x7f00_0001), 0, 0x0a00_0001].enumerated() {
      var socket = InetSocket()
      (socket.state, socket.localPort, socket.localBits) = (.listen, 8080, AddressBits(low: address))
      (socket.inode, socket.cookie) = (UInt32(number) + 1, UInt64(number) + 1)
      sockets.append(socket)
      holders.append(Holder(inode: socket.inode, pid: Int32(number) + 7, descriptor: 3))
    }
    let census = Census(sockets: sockets, holders: Holders(sockets: holders, processes: []))
    let index = CensusIndex(census, Diagnosis.Options())
    for (address, pid) in [(UInt64(0x0a00_0001), Int32(9)), (0x0a00_0002, 8), (0x7f00_0001, 7)] {
      #expect(index.listenerOwner(at: 8080, of: AddressBits(low: address), in: 0)?.pid == pid)
    }
    #expect(index.listenerOwner(at: 8081, of: AddressBits(), in: 0) == nil)
  }

  @Test("ports that TIME-WAIT has used up are found in the past as they were live")
  func findings() throws {
    let stage = try HistoryStage()
    let machine = try looks(stage, 40_000...40_049)
    let answer = try HistoryReader(stage.folder).answer(at: Self.start + 10_000)
    func found(_ census: Census) -> [String] {
      Diagnosis.findings(in: census).filter { [.portsExhausted, .timeWaitChurn].contains($0.id) }
        .map { "\($0.severity) \($0.sentence)" }.sorted()
    }
    #expect(found(machine.census).count >= 2 && found(answer.record.census) == found(machine.census))
  }

  @Test("a connection in TIME-WAIT keeps its program from look to look, also when the program has ended")
  func owners() throws {
    let stage = try HistoryStage()
    var machine = MadeUpMachine()
    machine.sockets = [client(1), client(2)]
    let writer = try stage.writer()
    try machine.look(writer)
    machine.now = 10_000
    machine.sockets = [client(1, .timeWait), client(2, .timeWait)]
    machine.others = [Self.api]
    try machine.look(writer)
    // Another process has its number now.
    machine.now = 20_000
    machine.others = [Holding(pid: 100, started: 900, name: "other")]
    try machine.look(writer)
    for second in [10, 20] as [Int64] {
      let answer = try HistoryReader(stage.folder).answer(at: Self.start + second * 1000)
      #expect(answer.record.census.recordedRests.map(\.pid) == [100])
    }
    let file = try #require(try stage.folder.files().first)
    let database = try Database(stage.folder.path(of: file), .reading)
    let query = "SELECT count(*) FROM rest r JOIN program p ON p.id = r.holder WHERE p.name = 'api'"
    #expect(try HistorySchema.number(database, query) == 2)
  }

  @Test("of many destinations those with the most are counted, and the others are a number")
  func most() throws {
    let stage = try HistoryStage()
    var machine = MadeUpMachine()
    let writer = try stage.writer()
    try machine.look(writer)
    machine.now = 10_000
    for peer in 1...20 as ClosedRange<UInt8> {
      let count = UInt64(peer) * 50
      machine.sockets += (0...(peer > 8 ? 1 : 0)).map { client(count + $0, .timeWait, peer: peer) }
    }
    try machine.look(writer)
    let answer = try HistoryReader(stage.folder).answer(at: Self.start + 10_000)
    #expect(answer.record.census.recordedRests.map(\.count) == Array(repeating: 2, count: 12))
    #expect(answer.resting == 8)
  }

  private func ended(_ identity: UInt64, _ local: UInt16, _ remote: UInt16, peer: UInt8 = 1) -> EndedSockets.One {
    var one = EndedSockets.One(identity)
    (one.local, one.remote) = (AddressBits(low: 0x7f00_0001), AddressBits(low: 0x0a00_0000 + UInt64(peer)))
    (one.localPort, one.remotePort) = (local, remote)
    return one
  }

  @Test("a connection that no look saw is counted once, at its listener or by its destination; others are not")
  func short() throws {
    let stage = try HistoryStage()
    var machine = MadeUpMachine()
    let listener = MadeUpMachine.Socket(cookie: 1, holders: [Self.web])
    machine.sockets = [listener, client(1), client(2)]
    let writer = try stage.writer()
    // A connection that ended before the first look was not between two.
    try machine.look(writer, ended: [ended(5, 40_000, 443)])
    machine.now = 10_000
    machine.sockets = [listener, client(1), client(7, .timeWait)]
    let seen = ended(1002, 40_002, 443)
    try machine.look(
      writer,
      ended: [
        seen, ended(1007, 40_007, 443), ended(20, 8080, 50_000), ended(21, 8080, 50_001, peer: 2),
        ended(22, 41_000, 25, peer: 3),
      ])
    // The kernel reports an end that the look before has already noticed.
    machine.now = 20_000
    machine.sockets = [listener]
    try machine.look(writer, ended: [seen, ended(1001, 40_001, 443)], hasMoreEnded: true)
    machine.now = 30_000
    try machine.look(writer)
    let reader = try HistoryReader(stage.folder)
    let lives = reader.passingLives(from: Self.start, to: Self.start + 60_000)
    #expect(lives.looks == 4 && lives.total == .init(all: 4, resting: 1) && lives.incompleteLooks == 1)
    let places = lives.sorted.map { place, count in
      "\(place.program?.name ?? "-") \(place.localPort) \(place.remote.map { "\($0)" } ?? "-") \(place.remotePort): "
        + "\(count.all) \(count.resting)"
    }
    #expect(places.first == "web 8080 - 0: 2 0")
    #expect(Set(places.dropFirst()) == ["- 0 10.0.0.1 443: 1 1", "- 0 10.0.0.3 25: 1 0"])
    #expect(reader.passingLives(from: Self.start + 11_000, to: Self.start + 60_000).total.all == 0)
    let first = try reader.answer(at: Self.start + 5000)
    #expect(first.short == 4 && !first.hasMoreShort)
    let second = try reader.answer(at: Self.start + 15_000)
    #expect(second.short == 0 && second.hasMoreShort)
  }

  @Test("a file that an earlier fin wrote, without these tables, answers as it did")
  func earlier() throws {
    let stage = try HistoryStage()
    _ = try looks(stage)
    let file = try #require(try stage.folder.files().first)
    try Database(stage.folder.path(of: file), .writing).execute("DROP TABLE rest; DROP TABLE short; DROP TABLE ended")
    let reader = try HistoryReader(stage.folder)
    let answer = try reader.answer(at: Self.start + 10_000)
    #expect(answer.resting == 39 && answer.record.census.recordedRests.isEmpty && answer.short == 0)
    #expect(answer.record.census.sockets.count == 11 && reader.problems.isEmpty)
    #expect(reader.passingLives(from: 0, to: Self.start + 60_000).looks == 0)
  }
}
