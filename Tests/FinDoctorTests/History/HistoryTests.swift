import FinBase
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("History: the right holder at each moment", .needsSQLite, .onThreads, .timeLimit(.minutes(30)))
struct HistoryTests {
  private typealias Holding = MadeUpMachine.Holding
  private static let start = HistoryStage.midnight

  private func answer(_ stage: HistoryStage, second: Int64) throws -> HistoryAnswer {
    try HistoryReader(stage.folder).answer(at: Self.start + second * 1000)
  }

  @Test("20 staged cases, among them a number that was used again, a restart, an inherited and a passed socket")
  func twenty() throws {
    let stage = try HistoryStage()
    var writer: HistoryWriter? = try stage.writer()
    var machine = MadeUpMachine()
    var expected: [(second: Int64, owners: [String], case: String)] = []
    var cookie: UInt64 = 10
    func listener(_ holders: [Holding], port: UInt16 = 8080) -> MadeUpMachine.Socket {
      cookie += 1
      return .init(cookie: cookie, port: port, holders: holders)
    }
    /// Sets the sockets, looks for 50 s, and expects the owners in the middle of it.
    func stretch(_ words: String, _ sockets: [MadeUpMachine.Socket], _ owners: [String]) throws {
      machine.sockets = sockets
      expected.append((machine.now / 1000 + 25, owners, words))
      try machine.pass(seconds: 50, try #require(writer))
    }
    let api = Holding(pid: 100, started: 500, name: "api")
    let kept = listener([api])
    try stretch("from the beginning", [kept], ["api[100]"])
    try stretch("without a change", [kept], ["api[100]"])
    try stretch("without a socket", [], [])
    try stretch("a successor", [listener([Holding(pid: 101, started: 600, name: "web")])], ["web[101]"])
    try stretch("gone again", [], [])
    let reused = Holding(pid: 100, started: 900, name: "db")
    let second = listener([reused])
    try stretch("a number used again by another program", [second], ["db[100]"])
    let twin = Holding(pid: 100, started: 950, name: "db")
    try stretch("a number used again by the same program", [listener([twin])], ["db[100]"])
    var passed = second
    passed.holders = [Holding(pid: 102, started: 960, name: "new")]
    try stretch("a socket passed on, with the same cookie", [passed], ["new[102]"])
    passed.holders.append(Holding(pid: 103, started: 961, name: "child"))
    try stretch("inherited by a child", [passed], ["child[103]", "new[102]"])
    passed.holders.removeFirst()
    try stretch("held by the child alone", [passed], ["child[103]"])
    let other = listener([Holding(pid: 104, started: 970, name: "other")], port: 9090)
    try stretch("beside another port", [passed, other], ["child[103]"])
    // The recorder is started again: another file.
    writer?.finish()
    writer = nil
    writer = try stage.writer()
    try stretch("after a restart of the recorder", [passed, other], ["child[103]"])
    try stretch("a successor after it", [other, listener([api])], ["api[100]"])
    writer = nil
    machine.now += 3_600_000
    writer = try stage.writer(boot: "boot-2")
    cookie = 10
    let again = listener([Holding(pid: 100, started: 40, name: "init")])
    try stretch("after a restart of the machine, with old cookies and numbers", [again], ["init[100]"])
    var bound = again
    bound.state = .closed
    bound.transport = .udp
    bound.cookie = 900
    try stretch("a socket of UDP", [bound], ["init[100]"])
    var orphan = again
    (orphan.cookie, orphan.state, orphan.remotePort, orphan.holders) = (901, .finWait2, 77, [])
    try stretch("a connection without a process", [orphan], [])
    orphan.holders = [api]
    (orphan.cookie, orphan.state) = (902, .established)
    try stretch("a connection", [orphan], ["api[100]"])
    orphan.state = .closeWait
    try stretch("in another state", [orphan], ["api[100]"])
    orphan.remotePort = 0
    (orphan.cookie, orphan.state) = (903, .bound)
    try stretch("a bound socket", [orphan], ["api[100]"])
    let reuse = [listener([api]), listener([twin2])]
    try stretch("two listeners of one port", reuse, ["api[100]", "worker[110]"])
    try machine.pass(seconds: 10, try #require(writer))
    #expect(expected.count == 20)
    for one in expected {
      let answer = try answer(stage, second: one.second)
      #expect(answer.owners(of: 8080) == one.owners, "\(one.case)")
      #expect(answer.look == Self.start + (one.second - 5) * 1000 && answer.next == answer.look + 10_000)
    }
  }

  private let twin2 = Holding(pid: 110, started: 990, name: "worker")

  @Test("the holders of a port are intervals with their bounds, joined over files and states")
  func holders() throws {
    let stage = try HistoryStage()
    var limits = HistoryWriter.Limits()
    limits.frames = 60_000
    var machine = MadeUpMachine()
    let api = Holding(pid: 100, started: 500, name: "api")
    machine.sockets = [.init(cookie: 11, holders: [api])]
    machine.others = [api]
    do {
      let writer = try stage.writer(limits)
      try machine.pass(seconds: 30, writer)
    }
    // Not finished, as after kill -9.
    let writer = try stage.writer(limits)
    try machine.pass(seconds: 30, writer)
    machine.sockets = []
    try machine.pass(seconds: 20, writer)
    machine.sockets = [.init(cookie: 12, holders: [Holding(pid: 100, started: 800, name: "db")])]
    machine.others = []
    try machine.pass(seconds: 20, writer)
    machine.sockets = []
    try machine.pass(seconds: 20, writer)
    let found = try HistoryReader(stage.folder).holders(
      of: 8080, nil, from: Self.start, to: Self.start + 1_000_000)
    #expect(found.count == 2)
    let (first, second) = (try #require(found.first), try #require(found.last))
    #expect(first.program?.name == "api" && first.owner?.started == 500 && first.notBefore == nil)
    #expect(first.from == Self.start && first.to == Self.start + 50_000 && first.notAfter == Self.start + 60_000)
    #expect(first.end == .closed)
    #expect(second.program?.name == "db" && second.owner?.started == 800)
    #expect(second.notBefore == Self.start + 70_000 && second.from == Self.start + 80_000)
    #expect(second.to == Self.start + 90_000 && second.notAfter == Self.start + 100_000)
    #expect(second.end == .processEnded)
    let reader = try HistoryReader(stage.folder)
    #expect(reader.holders(of: 8080, nil, from: Self.start + 65_000, to: Self.start + 75_000).isEmpty)
    #expect(reader.holders(of: 8080, nil, from: Self.start + 85_000, to: Self.start + 86_000).count == 1)
    #expect(reader.holders(of: 8080, NetworkAddress(127, 0, 0, 1), from: 0, to: .max - 60_001).count == 2)
    #expect(reader.holders(of: 8080, NetworkAddress(127, 0, 0, 2), from: 0, to: .max - 60_001).isEmpty)
    #expect(reader.holders(of: 8081, nil, from: 0, to: .max - 60_001).isEmpty)
  }

  @Test("a killed process has ended although its parent has not waited for it; one whose first thread ended has not")
  func ending() throws {
    let script = """
      import ctypes, os, socket, sys, threading, time
      exit = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
      def child(work):
          ready, told = os.pipe()
          pid = os.fork()
          if pid == 0:
              held = socket.create_server(("127.0.0.1", 0))
              os.write(told, b"r")
              work()
          os.read(ready, 1)
          print(pid, flush=True)
      def half():
          threading.Thread(target=time.sleep, args=(1000,)).start()
          ctypes.CDLL(None).syscall(exit, 0)
      child(lambda: time.sleep(1000))
      child(half)
      sys.stdin.read()
      """
    try withChild(try #require(Programs.find("python3")), ["-c", script]) { child in
      func next() throws -> Int32 { try #require(Int32(try child.readLine(within: .seconds(60)) ?? "")) }
      let (killed, half) = (try next(), try next())
      defer { for pid in [killed, half] { _ = kill(pid, SIGKILL) } }
      func runs(_ pid: Int32) throws -> Bool {
        try Census.take(.init()).runs(.init(pid: pid, started: 0, descriptor: 3))
      }
      #expect(try runs(killed))
      _ = kill(killed, SIGKILL)
      try eventually("its end") { !(try runs(killed)) }
      #expect(try Files.read("/proc/\(killed)/status", limit: 4096).firstRange(of: Array("zombie".utf8)) != nil)
      try eventually("the end of the first thread") { ProcessState.read(half)?.letter == UInt8(ascii: "Z") }
      #expect(try runs(half))
    }
  }

  @Test("at a key frame the record is the one that was taken; between frames it has the sockets of the look")
  func frames() throws {
    let stage = try HistoryStage()
    var machine = MadeUpMachine()
    let api = Holding(pid: 100, started: 500, name: "api")
    machine.sockets = (0..<40).map { place in
      .init(
        cookie: 100 + place, remotePort: UInt16(40_000 + place), state: .established, holders: [api],
        received: UInt32(place))
    }
    let writer = try stage.writer()
    let taken = machine.census
    #expect(try machine.look(writer).hasFrame)
    machine.now = 10_000
    machine.sockets[3].state = .closeWait
    machine.sockets.removeLast(10)
    machine.sockets.append(.init(cookie: 999, port: 1234, holders: [api], received: 77))
    #expect(try !machine.look(writer).hasFrame)
    let exact = try answer(stage, second: 5)
    #expect(exact.isFrame && exact.record.census.sockets.count == 40 && exact.began == 2 && exact.ended == 11)
    #expect(exact.record.census.when == taken.when)
    let later = try answer(stage, second: 10)
    let census = later.record.census
    #expect(!later.isFrame && census.sockets.count == 31 && later.next == nil)
    let changed = try #require(census.sockets.first { $0.cookie == 103 })
    #expect(changed.state == .closeWait && census.program(of: changed)?.name == "api")
    #expect(census.recordedAges[103] == AgeBounds(atLeast: 0, atMost: 10_000))
    let new = try #require(census.sockets.first { $0.cookie == 999 })
    #expect(new.receiveQueue == 77 && new.state == .listen)
    #expect(census.when.wall == taken.when.wall + 10_000_000_000)
    // All of it can be examined.
    _ = RecordTests.report(later.record)
  }

  @Test("a critical finding makes a key frame, and the last minutes second by second")
  func ring() throws {
    let stage = try HistoryStage()
    var machine = MadeUpMachine()
    let api = Holding(pid: 100, started: 500, name: "api")
    let writer = try stage.writer()
    writer.ring = SecondRing()
    try machine.look(writer)
    for second in 1...30 as ClosedRange<Int64> {
      machine.now = second * 1000
      machine.sockets = second < 20 ? [.init(cookie: UInt64(second), port: 7000, holders: [api])] : []
      writer.ring?.look(machine.census)
    }
    let finding = Finding(
      .closeWaitKnown, .critical, Claim("staged", needs: []), count: 5, who: ProcessOwner(program: "api", pid: 100),
      sentence: "it leaks", facts: [])
    #expect(try machine.look(writer, findings: [finding]).hasFrame)
    machine.now += 1000
    #expect(try !machine.look(writer, findings: [finding]).hasFrame)
    let file = try #require(try stage.folder.files().first)
    let database = try Database(stage.folder.path(of: file), .reading)
    #expect(try HistorySchema.number(database, "SELECT count(*) FROM second WHERE lp = 7000") == 19)
    #expect(
      try HistorySchema.number(database, "SELECT first FROM second ORDER BY first LIMIT 1") == Self.start + 1000)
    #expect(try HistorySchema.number(database, "SELECT count(*) FROM ring") == 1)
    #expect(try HistorySchema.number(database, "SELECT count(*) FROM finding WHERE severity = 2 AND open = 1") == 1)
  }

  @Test("the ring keeps ten minutes, and no more")
  func ringLength() {
    var ring = SecondRing()
    var machine = MadeUpMachine()
    for second in 0..<2000 as Range<Int64> {
      machine.now = second * 1000
      machine.sockets = [.init(cookie: UInt64(second) + 1, holders: [])]
      ring.look(machine.census)
    }
    #expect((600...603).contains(ring.count))
  }
}
