import FoundationEssentials
import Peers
import Testing

@testable import FinCommand
@testable import FinDoctor

/// Pages of staged censuses, and parts of a page.
enum ReportStage {
  /// Text that would be markup if it reached a page as it is.
  static let hostile = "</script><img src=x onerror=alert(1)>\"'&<!--"

  /// The censuses that are kept as files.
  static let corpus = ["accept-queue", "close-wait", "detached", "inherited", "zero-window"]

  static func record(_ name: String) throws -> CensusRecord {
    let tests = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let file = "\(tests)/FinDoctorTests/Corpus/\(name).json"
    return try CensusRecord(json: Array(try Data(contentsOf: URL(filePath: file))))
  }

  /// A server that keeps connections whose peers have closed, and many more that are healthy.
  static func record(sockets: Int, program: String = "api", arguments: String = "api --serve") -> CensusRecord {
    var record = CensusRecord()
    var rows: ContiguousArray<InetSocket> = []
    var holders: ContiguousArray<Holder> = []
    for place in 0..<sockets {
      var socket = InetSocket()
      let number = UInt32(place)
      (socket.inode, socket.cookie) = (number + 1, UInt64(place) + 1)
      (socket.localBits, socket.localPort) = (AddressBits(low: 0x0a00_0001), 8080)
      socket.remoteBits = AddressBits(low: 0xc0a8_0000 + UInt64(place) * 7919 % 5000)
      socket.remotePort = UInt16(1024 + UInt64(place) * 48_271 % 60_000)
      socket.state = place < 60 ? .closeWait : .established
      socket.shutdown = 0
      socket.info.bytesReceived = UInt64(place) + 2
      socket.info.bytesSent = UInt64(place % 2)
      socket.info.lastDataSent = 100_000 + number &* 2_654_435_761 % 9_000_000
      socket.info.lastDataReceived = socket.info.lastDataSent.map { $0 + number % 100_000 }
      socket.info.lastAcknowledgementReceived = socket.info.lastDataSent.map { $0 - number % 100_000 }
      rows.append(socket)
      holders.append(Holder(inode: socket.inode, pid: 50, descriptor: Int32(place) + 3))
    }
    var api = Program(pid: 50, name: program)
    (api.commandLine, api.descriptorLimit) = (arguments, 1_048_576)
    record.census = Census(
      sockets: rows,
      holders: Holders(
        sockets: holders, processes: [HoldingProcess(pid: 50, descriptorCount: UInt32(sockets) + 3)]),
      programs: [50: api], watchers: [50: Watchers(state: ProcessState(letter: UInt8(ascii: "S")))],
      when: Census.Moment(monotonic: 10_000_000_000, wall: 1_796_014_329_000_000_000))
    return record
  }

  static func page(_ record: CensusRecord, _ mutes: Mutes = Mutes(), isRedacted: Bool = false) throws -> String {
    let subject = try ReportSubject(record, mutes, isRedacted: isRedacted, ReportOrigin(host: "host-7"))
    return String(decoding: ReportPage(subject).document, as: UTF8.self)
  }

  /// The data of a page.
  static func data(of page: String) throws -> String {
    let begin = try #require(page.firstRange(of: Markup.dataBegins)?.upperBound)
    let end = try #require(page[begin...].firstRange(of: Markup.dataEnds)?.lowerBound)
    return String(page[begin..<end])
  }

  /// The data with its types.
  struct Content: Decodable {
    struct Found: Decodable {
      var id, severity, sentence: String
    }
    struct Sockets: Decodable {
      var count: Int
      var states, owners, addresses: [String]
      var runs, values: [String: [Int]]

      /// A column of any kind.
      func column(_ name: String) -> [Int] {
        if let column = values[name] { return column }
        let run = runs[name] ?? []
        return stride(from: 0, to: run.count, by: 2).flatMap { Array(repeating: run[$0], count: run[$0 + 1]) }
      }
    }
    var verdict: String
    var findings: [Found]
    var sockets: Sockets
  }

  static func content(of page: String) throws -> Content {
    try JSONDecoder().decode(Content.self, from: Data(try data(of: page).utf8))
  }

  /// The mistakes in the structure of a page: a tag without its counterpart, an attribute that is not in quotes, a
  /// character that begins a tag where none is.
  static func mistakes(in page: String) -> [String] {
    var wrong: [String] = []
    var open: [Substring] = []
    var rest = page[...]
    while let start = rest.firstIndex(of: "<") {
      rest = rest[start...]
      guard let end = rest.firstIndex(of: ">") else { return wrong + ["a tag does not end: \(rest.prefix(40))"] }
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("!DOCTYPE ") { continue }
      if tag.hasPrefix("/") {
        if open.popLast() != tag.dropFirst() { wrong.append("<\(tag)> ends another element") }
        continue
      }
      guard tag.wholeMatch(of: /[a-z][a-z0-9]*( [A-Za-z0-9-]+="[^"<>]*")*/) != nil else {
        wrong.append("<\(tag)> is no tag")
        continue
      }
      let name = tag.prefix { $0 != " " }
      if name == "meta" || name == "input" { continue }
      if name == "script" || name == "style" {
        // Their content is no markup; it ends at the first end tag.
        guard let close = rest.firstRange(of: "</\(name)>") else { return wrong + ["<\(name)> does not end"] }
        rest = rest[close.upperBound...]
        continue
      }
      open.append(name)
    }
    return wrong + open.map { "<\($0)> does not end" }
  }
}
