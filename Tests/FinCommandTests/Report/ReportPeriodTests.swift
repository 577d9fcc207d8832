import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("fin report --for adds what began, ended and grew in its time", .onThreads, .timeLimit(.minutes(30)))
struct ReportPeriodTests {
  /// A socket of a made-up machine.
  private struct Made {
    var cookie: UInt64
    var state: SocketState
    var localPort: UInt16 = 8080
    var remotePort: UInt16 = 5000
    var pid: Int32 = 50
  }

  private func census(_ all: [Made], at milliseconds: UInt64) -> Census {
    var sockets: ContiguousArray<InetSocket> = []
    var holders: ContiguousArray<Holder> = []
    for one in all {
      var socket = InetSocket()
      (socket.cookie, socket.state) = (one.cookie, one.state)
      (socket.localPort, socket.remotePort) = (one.localPort, one.state == .listen ? 0 : one.remotePort)
      socket.remoteBits = AddressBits(low: 0xc0a8_0001)
      if one.pid != 0, one.state != .timeWait {
        socket.inode = UInt32(one.cookie) + 1000
        holders.append(Holder(inode: socket.inode, pid: one.pid, descriptor: Int32(one.cookie)))
      }
      sockets.append(socket)
    }
    var programs: [Int32: Program] = [:]
    for pid in Set(all.map(\.pid)) where pid != 0 {
      programs[pid] = Program(pid: pid, name: "zebra\(pid)")
      programs[pid]?.started = UInt64(pid) * 10
      programs[pid]?.descriptorLimit = 37
    }
    let processes = programs.keys.sorted().map { pid in
      HoldingProcess(pid: pid, descriptorCount: UInt32(holders.count { $0.pid == pid }) + 3)
    }
    return Census(
      sockets: sockets, holders: Holders(sockets: holders, processes: ContiguousArray(processes)), programs: programs,
      when: Census.Moment(
        monotonic: milliseconds * 1_000_000, wall: 1_796_014_329_000_000_000 + Int64(milliseconds) * 1_000_000))
  }

  private static let listener = Made(cookie: 1, state: .listen)

  /// Three looks, one second after the other: a client comes and goes, one was seen in TIME-WAIT only, and one leaks.
  private var looks: [Census] {
    [
      census([Self.listener, Made(cookie: 2, state: .established), Made(cookie: 9, state: .timeWait)], at: 10_000),
      census(
        [
          Self.listener, Made(cookie: 2, state: .closeWait), Made(cookie: 3, state: .established),
          Made(cookie: 4, state: .timeWait), Made(cookie: 9, state: .timeWait),
          Made(cookie: 7, state: .synSent, localPort: 41_000, remotePort: 5432, pid: 60),
        ], at: 11_000),
      census(
        [
          Self.listener, Made(cookie: 2, state: .closeWait), Made(cookie: 3, state: .timeWait),
          Made(cookie: 4, state: .timeWait), Made(cookie: 5, state: .closeWait),
          Made(cookie: 6, state: .closeWait),
        ], at: 12_000),
    ]
  }

  private var period: ReportPeriod {
    var period = ReportPeriod(wanted: 2000)
    for look in looks { period.take(look, Diagnosis.findings(in: look)) }
    return period
  }

  @Test("states: the first look, the last, and how many came and left, by the sockets' own names")
  func states() {
    let period = period
    #expect(period.looks == 3 && period.milliseconds == 2000)
    #expect(period.states[.closeWait] == .init(first: 0, last: 3, flow: .init(came: 3, left: 0)))
    #expect(period.states[.established] == .init(first: 1, last: 0, flow: .init(came: 1, left: 2)))
    #expect(period.states[.timeWait] == .init(first: 1, last: 2, flow: .init(came: 2, left: 1)))
    #expect(period.states[.listen] == .init(first: 1, last: 1))
    #expect(period.rate(3) == 1.5 && ReportPeriod(wanted: 1).rate(3) == 0)
  }

  @Test("connections by program and port: what began, what ended, and between which times it lasted")
  func lives() throws {
    let lives = period.lives.groups
    let server = ConnectionLives.Group(process: .init(pid: 50, started: 500), port: 8080, isServer: true)
    let found = try #require(lives[server])
    // 3, 4, 5 and 6 began. 3 was there at one look and in TIME-WAIT at the next; 4 began and ended between two looks.
    #expect(found.began == 4 && found.ended == 2 && found.known == 2)
    #expect(found.time(at: 0) == AgeBounds(atLeast: 0, atMost: 1000))
    #expect(found.time(at: 1) == AgeBounds(atLeast: 0, atMost: 2000))
    // A connection that was in TIME-WAIT from the start is counted nowhere.
    let client = ConnectionLives.Group(process: .init(pid: 60, started: 600), port: 5432, isServer: false)
    #expect(lives.count == 2 && lives[client]?.began == 1 && lives[client]?.ended == 1)
    #expect(lives[client]?.time(at: 0.5) == AgeBounds(atLeast: 0, atMost: 2000))
  }

  @Test("a connection that was there from the start has ended, but its time is not known")
  func older() throws {
    var lives = ConnectionLives()
    lives.take(census([Self.listener, Made(cookie: 2, state: .established)], at: 0), at: 0)
    lives.take(census([Self.listener], at: 1000), at: 1000)
    let found = try #require(lives.groups.values.first)
    #expect(found.began == 0 && found.ended == 1 && found.known == 0 && found.time(at: 0) == nil)
  }

  @Test("what grew comes first where it never fell, then by growth; what shrank is not there")
  func growth() {
    var courses = Courses()
    for (a, b, c) in [(5, 1, 9), (9, 2, 5), (8, 4, 1)] {
      courses.take([.ports(1): a, .ports(2): b, .ports(3): c])
    }
    courses.take([.ports(1): 30, .ports(2): 4, .ports(4): 2])
    #expect(courses.grown.map(\.quantity) == [.ports(2), .ports(4), .ports(1)])
    #expect(courses.grown.map(\.course.growth) == [3, 2, 25])
    #expect(courses.grown.map(\.course.neverFell) == [true, true, false])
    #expect(courses.all[.ports(4)]?.values(atMost: 9) == [0, 0, 0, 2])
    #expect(courses.all[.ports(1)]?.values(atMost: 2) == [9, 30])
    // A program that begins with forty descriptors has not grown by forty; one that opens two more has.
    let process = ReportPeriod.Process(pid: 1, started: 1)
    courses.take([.descriptors(process): 40])
    #expect(courses.all[.descriptors(process)]?.growth == 0)
    courses.take([.descriptors(process): 42])
    #expect(courses.all[.descriptors(process)]?.growth == 2)
  }

  @Test("there are ten looks at least and three hundred at most, and between them a fifth of a second at least")
  func intervals() {
    for (time, interval) in [(1000, 200), (5000, 500), (10_000, 1000), (60_000, 1000), (3_600_000, 12_000)] {
      #expect(ReportPeriod.interval(for: Int64(time)) == Int64(interval))
    }
  }

  private func page(_ period: ReportPeriod, isRedacted: Bool = false) throws -> String {
    var record = CensusRecord()
    record.census = try #require(looks.last)
    var subject = try ReportSubject(record, isRedacted: isRedacted, ReportOrigin(host: "host-7"))
    subject.period = period
    return String(decoding: ReportPage(subject).document, as: UTF8.self)
  }

  @Test("the page has a section with tables and lines, and its data is as the help says; another page has neither")
  func section() async throws {
    let page = try page(period)
    #expect(page.contains("<section id=\"period\"") && page.contains("href=\"#period\""))
    #expect(page.contains("zebra50[50], clients of its port 8080"))
    #expect(page.contains("zebra60[60], which ended, to port 5432"))
    #expect(page.contains("zebra50[50]: sockets in CLOSE-WAIT") && page.contains("0 → 3, 1.5/s, and never fell"))
    #expect(page.contains("<svg class=\"course\"") && page.contains("sockets with the peer 192.168.0.1"))
    #expect(!page.contains("stopped after") && ReportStage.mistakes(in: page) == [])
    let schema = try await Fin.run("help", "json", "report", columns: 1000)
    let data = try ReportStage.data(of: page)
    try SchemaTests.expect(Fin(status: 0, output: data, complaints: ""), toHave: schema)
    #expect(data.contains(#""state":"CLOSE-WAIT","first":0,"last":3,"came":3,"left":0,"camePerSecond":1.500"#))
    let plain = try ReportStage.page(ReportStage.record(sockets: 80))
    let other = try ReportStage.data(of: plain)
    #expect(!plain.contains("id=\"period\"") && !other.contains("\"period\""))
  }

  @Test("a program whose descriptors grew has a forecast, unless they fell between, too")
  func forecast() throws {
    #expect(try page(period).contains("7 of 37 open, 19 %; 2 more in 2 s; at this rate the limit is reached in 30 s "))
    var unsteady = ReportPeriod(wanted: 3000)
    let fewer = census([Self.listener], at: 11_500)
    for look in [looks[0], looks[1], fewer, looks[2]] { unsteady.take(look, []) }
    let page = try page(unsteady)
    #expect(page.contains("7 of 37 open, 19 %; 2 more in 2 s ") && !page.contains("at this rate"))
  }

  @Test("a time that a signal ended is said on the page, also before the second look")
  func cutShort() throws {
    var period = period
    period.isCutShort = true
    #expect(try page(period).contains("stopped after 2 s of 2 s: the page has what was seen until then"))
    var short = ReportPeriod(wanted: 60_000)
    short.take(looks[0], [])
    short.isCutShort = true
    let page = try page(short)
    #expect(page.contains("before the second look: the page has one look, and no rates"))
    #expect(!page.contains("class=\"course\""))
  }

  @Test("a redacted page names neither a program nor a peer, also not one that ended")
  func redacted() throws {
    let page = try page(period, isRedacted: true)
    #expect(page.contains("clients of its port 8080") && page.contains("to port 5432"))
    #expect(!page.contains("zebra") && !page.contains("192.168") && !page.contains("with the peer"))
  }
}

@Suite("fin report --for on this machine", .onThreads, .timeLimit(.minutes(30)))
struct ReportPeriodCommandTests {
  @Test("connections that come and go meanwhile are counted with the port of their listener, and no line in a pipe")
  func churn() throws {
    let folder = try TemporaryFolder()
    let listener = try PlainSocket.listening(on: "127.0.0.1")
    let port = listener.port
    let report = try Talker(["report", "--for", "2s", "--own-namespace", "-o", folder.path + "/a.html"])
    var opened = 0
    while !folder.names.contains("a.html") {
      let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
      let server = try listener.accept()
      client.close()
      server.close()
      opened += 1
      // A load of some connections a second, not a wait.
      usleep(20_000)
    }
    #expect(try report.child.wait() == .exited(0))
    #expect(!report.complaints.contains("\r") && !report.complaints.contains("looking:"), "\(report.complaints)")
    let page = try #require(TextFile.read(folder.path + "/a.html"))
    struct Content: Decodable {
      struct Connections: Decodable {
        var port: Int
        var isServer: Bool
        var began, ended: Int
      }
      struct Period: Decodable {
        var looks, milliseconds: Int
        var cutShort: Bool
        var connections: [Connections]
      }
      var period: Period
    }
    let period = try JSONDecoder().decode(Content.self, from: Data(try ReportStage.data(of: page).utf8)).period
    #expect(period.looks >= 2 && period.milliseconds > 0 && !period.cutShort)
    let found = period.connections.filter { $0.port == Int(port) && $0.isServer }
    // The client closes first and is in TIME-WAIT then, so that each connection is seen at one of its ends.
    let began =
      found.map(\.began).reduce(0, +)
      + period.connections.filter { $0.port == Int(port) && !$0.isServer }
      .map(\.began).reduce(0, +)
    #expect(began > 0 && began <= 2 * opened, "\(period) \(opened)")
  }

  @Test("a time that makes no sense is refused in words, and so is one with a file or with --diff")
  func refused() async throws {
    for time in ["0", "0s", "500ms", "2h", "25h", "soon", "60 s", "99999999999999999999s", "-5s", "1e9"] {
      let fin = try await Fin.run("report", "--for=\(time)", "-o", "/no/such/folder/a")
      #expect(fin.status == 64 && fin.complaints.contains("from 1s to 1h"), "\(time): \(fin)")
    }
    for words in [["--from", "a"], ["--at", "now"], ["--diff", "a", "b"]] {
      #expect(try await Fin.run(["report", "--for", "1s"] + words).status == 64, "\(words)")
    }
    let fin = try await Fin.run("report", "--for", "1s", "--namespace", "no-such-one", "-o", "/no/such/folder/a")
    #expect(fin.status == 69, "\(fin)")
  }

  @Test(
    "on a terminal a line says how far it is, and Ctrl-C writes the page of what was seen so far",
    .enabled(if: Programs.find("setsid") != nil, "needs setsid"))
  func interrupted() throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/a.html"
    let terminal = try WatchedTerminal(
      verb: ["report"], "--for", "30min", "--own-namespace", "-o", file, columns: 110)
    try terminal.see("the second look") { terminal in
      terminal.lines.contains { $0.contains("looking: ") && !$0.contains(" 1 look,") && $0.contains("of 1800 s") }
    }
    #expect(folder.names == [])
    try terminal.type("\u{3}")
    #expect(try terminal.child.wait() == .exited(0))
    try terminal.see(text: "fin: stopped after ")
    try terminal.see(text: "\(file): ")
    #expect(!terminal.lines.contains { $0.contains("looking: ") })
    let page = try #require(TextFile.read(file))
    let data = try ReportStage.data(of: page)
    #expect(page.contains("until then") && data.contains("\"cutShort\":true"))
  }
}

@Suite(
  "Long work shows a line on a terminal, and removes it", .enabled(if: Programs.find("setsid") != nil, "needs setsid"),
  .onThreads, .timeLimit(.minutes(30)))
struct ProgressTests {
  @Test(
    "list --over, check --over and lab",
    arguments: [
      (["list", "--over", "3s", "--own-namespace"], "between the two looks: "),
      (["check", "--over", "3s", "--own-namespace"], "watching what grows: "), (["lab", "flush"], " of 1 experiment"),
    ])
  func line(words: [String], text: String) throws {
    // Only what is on standard error is on the terminal.
    let terminal = try WatchedTerminal(verb: words, output: "/dev/null")
    try terminal.see(text: text)
    _ = try terminal.child.wait()
    terminal.receive()
    #expect(!terminal.lines.contains { $0.contains(text) }, "\(terminal.lines)")
    #expect(terminal.screen.surprises == [])
  }

  @Test("in a pipe there is none")
  func pipe() async throws {
    for words in [["list", "--over", "1s", "--own-namespace"], ["lab", "flush", "--brief"]] {
      let fin = try await Fin.run(words)
      #expect(!fin.complaints.contains("\r") && !fin.output.contains("\r"), "\(fin)")
    }
  }
}
