import FinBase
import FinDoctor
import Glibc

/// Writes made-up days of history through the real writer, and prints their size and the time that it took.
///
///     HistoryDay FOLDER [DAYS [BIRTHS [LIVE]]]
///     HistoryDay FOLDER answers     the time of 40 answers about moments of the whole history
@main
enum HistoryDay {
  static func main() throws {
    let words = Array(CommandLine.arguments.dropFirst())
    guard let path = words.first else {
      print("usage: HistoryDay FOLDER [DAYS [BIRTHS [LIVE]]]")
      exit(64)
    }
    if words.count == 2, words[1] == "answers" { return try answer(HistoryFolder(path)) }
    func number(_ place: Int, _ usual: Int) -> Int { words.count > place ? Int(words[place]) ?? usual : usual }
    let (days, births, live) = (number(1, 1), number(2, 100), number(3, 1000))
    var limits = HistoryWriter.Limits()
    (limits.bytes, limits.days) = (1 << 40, 1000)
    let writer = try HistoryWriter(
      HistoryFolder(path), limits, .init(version: "0", period: 10_000, boot: "made-up"))
    var machine = Machine(births: births, live: live)
    // The days end now, so that times such as "3 h ago" are in them.
    let begin = (SystemClock.wall / 1_000_000_000 - Int64(days) * 86_400) * 1000
    let clock = ContinuousClock()
    var longest = Duration.zero
    let start = clock.now
    for look in 0..<Int64(days * 8640) {
      machine.pass()
      let census = machine.census(at: begin + look * 10_000, monotonic: (look + 1) * 10_000)
      let before = clock.now
      var seen = HistoryWriter.Look(census, [], sinceBoot: (look + 1) * 10_000)
      seen.ended = machine.ended
      _ = try writer.write(seen) { census in
        var record = CensusRecord()
        record.census = census
        return record
      }
      longest = max(longest, clock.now - before)
    }
    writer.finish()
    let passed = clock.now - start
    let files = try writer.folder.files()
    let bytes = files.reduce(0) { sum, file in
      var status = stat()
      return unsafe stat("\(path)/\(file.name)", &status) == 0 ? sum + Int(status.st_size) : sum
    }
    print("\(days) days, \(births) births a look, \(live) live sockets: \(files.count) files")
    print("\(bytes / days) bytes a day, of at most \(64 << 20): \(bytes / days <= 64 << 20 ? "within" : "MORE")")
    print("\(passed / (days * 8640)) a look, the longest \(longest)")
    exit(bytes / days <= 64 << 20 ? 0 : 1)
  }
}

extension HistoryDay {
  /// Answers as `--at` does, each with a reader of its own, and prints the times.
  private static func answer(_ folder: HistoryFolder) throws {
    guard let range = try HistoryReader(folder).range() else { return }
    let clock = ContinuousClock()
    var times: [Duration] = []
    var sockets = 0
    for step in 0..<40 as Range<Int64> {
      let moment = range.first + (range.last - range.first) * (2 * step + 1) / 80
      let begin = clock.now
      let answer = try HistoryReader(folder).answer(at: moment)
      times.append(clock.now - begin)
      sockets += answer.record.census.sockets.count
    }
    times.sort()
    print("\(sockets / 40) sockets an answer: median \(times[20]), longest \(times[39])")
  }
}

/// A server with clients that come and go.
private struct Machine {
  private var random = UInt64(7)
  private var sockets: ContiguousArray<InetSocket> = []
  /// Connections in TIME-WAIT, with the look at which each is over.
  private var resting: [(socket: InetSocket, end: Int)] = []
  private var looks = 0
  /// The connections that ended since the look before, half of which no look saw.
  private(set) var ended: [EndedSockets.One] = []
  private var cookie: UInt64 = 1 << 22
  private let births: Int
  private let live: Int

  init(births: Int, live: Int) { (self.births, self.live) = (births, live) }

  private mutating func number(_ most: UInt64) -> UInt64 {
    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (random >> 33) % most
  }

  /// Adds new sockets, and removes the oldest ones beyond the number.
  mutating func pass() {
    for _ in 0..<births {
      cookie += 1 + number(3)
      var socket = InetSocket()
      socket.cookie = cookie
      socket.inode = UInt32(truncatingIfNeeded: cookie &* 7)
      socket.localBits = AddressBits(low: 0x0a00_0001 + number(2))
      socket.remoteBits = AddressBits(low: 0xc000_0000 + number(5000))
      // Half are clients of this server, half are its own connections to others.
      let ephemeral = UInt16(32_768 + number(28_000))
      (socket.localPort, socket.remotePort) = number(2) == 0 ? (443, ephemeral) : (ephemeral, 5432)
      socket.state = number(20) == 0 ? .closeWait : .established
      socket.cgroup = 4000 + number(20)
      sockets.append(socket)
    }
    ended = []
    looks += 1
    resting.removeAll { $0.end <= looks }
    if sockets.count > live { end(sockets.count - live) }
    for place in sockets.indices {
      sockets[place].info.roundTripTime = UInt32(200 + number(50_000))
      sockets[place].info.lastDataSent = UInt32(number(100_000))
      sockets[place].info.lastDataReceived = UInt32(number(100_000))
      sockets[place].info.lastAcknowledgementReceived = UInt32(number(100_000))
      sockets[place].info.congestionWindow = 10 + UInt32(number(40))
      sockets[place].info.bytesAcknowledged = number(1 << 20)
      sockets[place].info.bytesReceived = number(1 << 20)
      sockets[place].info.segmentsSent = UInt32(number(1000))
      sockets[place].info.segmentsReceived = UInt32(number(1000))
      sockets[place].info.bytesSent = number(1 << 20)
      sockets[place].info.sendWindow = UInt32(64_000 + number(8) * 128)
    }
  }

  /// Ends the oldest sockets, and as many that no look has seen; this side closes half of them first.
  private mutating func end(_ count: Int) {
    for place in 0..<count * 2 {
      var socket = sockets[place % count]
      if place >= count {
        cookie += 1
        socket.cookie = cookie
      }
      var one = EndedSockets.One(socket.cookie)
      (one.local, one.localPort) = (socket.localBits, socket.localPort)
      (one.remote, one.remotePort) = (socket.remoteBits, socket.remotePort)
      ended.append(one)
      guard number(2) == 0 else { continue }
      (socket.state, socket.inode, socket.info) = (.timeWait, 0, TCPDetail())
      // Sixty seconds.
      resting.append((socket, looks + 6))
    }
    sockets.removeFirst(count)
  }

  func census(at wall: Int64, monotonic: Int64) -> Census {
    var census = Census(
      sockets: sockets + resting.map(\.socket), namespaces: [Namespace(inode: 4_026_531_840)],
      when: .init(monotonic: UInt64(monotonic) * 1_000_000, wall: wall * 1_000_000))
    census.namespaces[0].limits.ephemeralPorts = 32_768...60_999
    var entries: ContiguousArray<Holder> = []
    for socket in sockets {
      // A descriptor stays as long as its socket.
      entries.append(
        Holder(inode: socket.inode, pid: 800 + Int32(socket.cookie % 20), descriptor: Int32(socket.cookie % 4000)))
    }
    for pid in 800..<820 as Range<Int32> {
      var program = Program(pid: pid, name: "server-\(pid)", user: 33)
      program.started = UInt64(pid) * 1000
      census.programs[pid] = program
    }
    census.holders = Holders(
      sockets: entries, processes: ContiguousArray(census.programs.keys.map { HoldingProcess(pid: $0) }))
    return census
  }
}
