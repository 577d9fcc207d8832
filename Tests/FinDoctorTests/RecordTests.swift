import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("A census in a file says what it said on its machine", .onThreads, .timeLimit(.minutes(30)))
struct RecordTests {
  /// The findings, explanations, budgets and listeners of a census, as text.
  static func report(_ record: CensusRecord) -> [String] {
    let census = record.census
    var options = record.options
    options.thresholds = .eager
    let outcome = Diagnosis.examine(census, options)
    var all = outcome.findings.map(words).sorted()
    all += outcome.onPurpose.map { "\($0)" }.sorted()
    let places =
      census.sockets.indices.map { SocketReference.inet($0) } + census.unixSockets.indices.map { .unix($0) }
      + census.detached.indices.map { .detached($0) }
    // Each of these walks the whole census: fewer of them in a large one, so that the product stays bounded.
    let sampled = min(400, max(20, 100_000 / max(1, places.count)))
    for place in places.prefix(sampled) {
      var life = SocketExplanation(of: place, in: census, record.details(of: place))
      all += life.findings.map(words)
      life.findings = []
      all.append("\(life)")
    }
    all += PortBudget.all(in: census, since: nil).map { "\($0)" }
    all += ListenerOverview.all(in: census, since: nil).map { "\($0)" }
    for socket in census.sockets.prefix(max(5, sampled / 8)) {
      let request = BindRequest(socket.localAddress, port: socket.localPort, namespace: socket.namespace)
      var outlook = BindForecast(of: request, in: census, recorded: record.firstFreePort)
      all += outlook.obstacles.map(words)
      outlook.obstacles = []
      all.append("\(outlook)")
    }
    return all + census.gaps.sentences + census.unixSockets.map { census.name(of: $0) ?? "-" }
  }

  /// All of a finding, with its sets in an order.
  private static func words(_ finding: Finding) -> String {
    var rest = finding
    rest.links = Finding.Links()
    let links = [finding.links.listeners, finding.links.remotes, finding.links.locals]
    return "\(rest) \(links.map { $0.map { "\($0)" }.sorted() })"
  }

  private static func copy(_ record: CensusRecord) throws -> CensusRecord {
    let copy = try CensusRecord(json: record.json(writer: "0"))
    #expect(copy.missing.isEmpty)
    return copy
  }

  /// Expects that a copy that went through a file says the same.
  private static func expectRoundTrip(_ record: CensusRecord) throws {
    let copy = try copy(record)
    let (before, after) = (report(record), report(copy))
    #expect(before.count == after.count)
    #expect(zip(before, after).first { $0 != $1 }.map { "\($0)\n\($1)" } == nil)
    #expect(copy.json(writer: "0") == record.json(writer: "0"))
  }

  @Test(
    "staged situations: findings, explanations, budgets, listeners and binds are the same from the file",
    .needsScenes,
    arguments: [
      ["close_wait", "known", "12"], ["detached", "reset", "8"], ["fd_limit", "95", "close-wait"],
      ["accepting", "overflow", "2", "8"], ["inherited", "connection"], ["life", "open"],
      ["port_budget", "50", "20", "5"], ["zero_window", "some", "3"], ["life", "unix"], ["ledger", "many", "2", "8"],
    ])
  func staged(words: [String]) throws {
    let scene = try Scene.begin(words[0], Array(words.dropFirst()))
    defer { scene.end() }
    var options = Census.Options()
    options.readsAllNamespaces = false
    var census = try scene.network.run { try Census.take(options) }
    // The descriptors of other tests are many and differ from run to run.
    census.leaveOut([getpid()])
    let record = CensusRecord(of: census, passingBefore: nil)
    #expect(!record.census.sockets.isEmpty || !record.census.detached.isEmpty || !record.census.unixSockets.isEmpty)
    try Self.expectRoundTrip(record)
  }

  @Test("this machine, in all its namespaces")
  func machine() throws {
    try Self.expectRoundTrip(try CensusRecord.take())
  }

  @Test("random censuses, also with values that no kernel reports", arguments: 0..<20)
  func random(seed: UInt64) throws {
    var random = SeededNumbers(seed)
    try Self.expectRoundTrip(.random(&random))
  }

  @Test("redacted: no name, address, argument, path or user is left, and the findings are of the same kinds")
  func redacted() throws {
    for seed in 0..<20 as Range<UInt64> {
      var random = SeededNumbers(seed)
      let record = CensusRecord.random(&random)
      let bytes = record.json(redacted: true)
      let text = String(decoding: bytes, as: UTF8.self)
      #expect(!text.contains("secret"))
      let copy = try CensusRecord(json: bytes)
      func kinds(_ record: CensusRecord) -> [String] {
        Diagnosis.examine(record.census, record.options).findings.map { "\($0.id) \($0.severity) \($0.count)" }.sorted()
      }
      #expect(kinds(copy) == kinds(record))
      for socket in record.census.sockets where !socket.localAddress.isKept {
        #expect(!text.contains("\"\(Self.whole(socket.localAddress))\""))
      }
    }
  }

  private static func whole(_ address: NetworkAddress) -> String {
    var buffer = TextBuffer()
    buffer.write(whole: address.bits, isIPv6: address.isIPv6)
    return buffer.text
  }

  @Test("redacted addresses: common prefixes stay as long, special addresses stay, mapped ones follow IPv4")
  func prefixes() {
    let redaction = Redaction(key: (1, 2))
    func length(_ a: UInt64, _ b: UInt64) -> Int { (a ^ b).leadingZeroBitCount }
    var random = SeededNumbers(7)
    for _ in 0..<300 {
      let one = UInt64(UInt32.random(in: 0...UInt32.max, using: &random))
      let other = one ^ (1 << UInt64.random(in: 0...31, using: &random))
      let (a, b) = (
        redaction.address(AddressBits(low: one), isIPv6: false).low,
        redaction.address(AddressBits(low: other), isIPv6: false).low
      )
      #expect(length(a, b) == length(one, other))
      let mapped = redaction.address(AddressBits(low: 0xffff_0000_0000 | one), isIPv6: true)
      #expect(mapped == AddressBits(low: 0xffff_0000_0000 | a))
      let six = AddressBits(high: UInt64.random(in: 0...UInt64.max, using: &random), low: one)
      let near = AddressBits(high: six.high, low: other)
      let (c, d) = (redaction.address(six, isIPv6: true), redaction.address(near, isIPv6: true))
      #expect(c.high == d.high && length(c.low, d.low) == length(one, other))
      #expect(
        NetworkAddress(c, isIPv6: true).isLinkLocal == NetworkAddress(six, isIPv6: true).isLinkLocal
          && NetworkAddress(AddressBits(low: a), isIPv6: false).isLoopback
            == NetworkAddress(AddressBits(low: one), isIPv6: false).isLoopback
      )
    }
    for kept in [0, 0x7f00_0001, 0x7f00_0035, 0xa9fe_0101, 0xe000_0001, 0xffff_ffff] as [UInt64] {
      #expect(redaction.address(AddressBits(low: kept), isIPv6: false).low == kept)
    }
    for kept in [AddressBits(), AddressBits(low: 1), AddressBits(high: 0xfe80 << 48, low: 9)] {
      #expect(redaction.address(kept, isIPv6: true) == kept)
    }
    #expect(redaction.address(AddressBits(low: 0x0a00_0001), isIPv6: false).low != 0x0a00_0001)
  }

  @Test("every stored property of a census is in the file, or is one of those that are derived")
  func complete() throws {
    func names(_ value: Any) -> Set<String> { Set(Mirror(reflecting: value).children.compactMap(\.label)) }
    // A new property must be added to the record, and then here.
    #expect(
      names(Census()) == [
        "sockets", "unixSockets", "unixNames", "unixWaiting", "holders", "programs", "cgroups", "watchers", "ledgers",
        "formerHolders", "detached", "namespaces", "gaps", "when", "keepers", "otherSockets", "recordedAges",
        "recordedRests",
      ])
    #expect(
      names(InetSocket()) == [
        "cookie", "localBits", "remoteBits", "cgroup", "inode", "user", "receiveQueue", "sendQueue", "expires",
        "interface", "localPort", "remotePort", "namespace", "options", "shutdown", "transport", "isIPv6", "isSubflow",
        "isIPv6Only", "state", "timer", "retransmits", "memory", "info",
      ])
    #expect(
      names(Program(pid: 1, name: "")) == [
        "pid", "name", "fileName", "group", "commandLine", "script", "user", "unit", "container", "cgroupPath", "age",
        "started", "parent", "descriptorLimit", "executable",
      ])
    #expect(
      names(CensusGaps()) == [
        "unreadableProcesses", "skippedNamespaces", "vanishedNamespaces", "damagedAnswers", "interruptedDumps",
        "refusedDumps", "vanishedProcesses", "unreadLedgers", "lostEnds", "namespacesLeftOut", "unseenHolders",
        "hidesProcesses", "unanswered", "unasked", "socketsWithoutDetails", "lockedSockets", "cutReadings",
        "uncountedEnds",
      ])
    #expect(
      names(UnixSocket()) == [
        "cookie", "inode", "peer", "receiveQueue", "sendQueue", "user", "name", "waiting", "namespace", "shutdown",
        "type", "state", "memory",
      ])
    #expect(names(Namespace()) == ["inode", "name", "isOwn", "isRead", "counters", "limits", "interfaces"])
    #expect(
      names(HoldingProcess(pid: 1)) == ["pid", "user", "descriptorCount", "isReadable"]
        && names(Watchers()) == ["interests", "blocked", "isComplete", "state", "unanswered", "cut"]
        && names(OtherSocket(holder: Holder(inode: 1, pid: 1, descriptor: 1), kind: "")) == ["holder", "kind"]
        && names(DetachedSocket(inode: 1, pid: 1, descriptor: 1)) == [
          "inode", "pid", "descriptor", "transport", "isIPv6",
        ])
  }
}

@Suite("Reading a census file is strict and bounded", .onThreads)
struct RecordFaultTests {
  private static let whole = CensusRecord().json(writer: "1")

  private static func fault(_ text: String) -> String {
    do {
      _ = try CensusRecord(json: Array(text.utf8))
      return "none"
    } catch {
      return error.description
    }
  }

  private static func changed(_ from: String, _ to: String) -> String {
    let text = String(decoding: whole, as: UTF8.self)
    precondition(text.contains(from), "\(from)")
    return text.replacing(from, with: to)
  }

  @Test("unknown fields are ignored, missing ones are named, and a newer version is refused")
  func versions() throws {
    let more = try CensusRecord(json: Array(Self.changed("\"fin\":", "\"later\":[{\"a\":[null]}],\"fin\":").utf8))
    #expect(more.missing.isEmpty)
    let less = try CensusRecord(json: Array(Self.changed("\"isRead\":true,", "").utf8))
    #expect(less.missing == ["namespaces[].isRead"])
    #expect(Self.fault(Self.changed("\"version\":1", "\"version\":2")).contains("version 2 is newer"))
    #expect(
      Self.fault("{}").contains("this is no census") && Self.fault("{\"kind\":\"fin census\"}").contains("version"))
  }

  @Test("a fault names its line, its field and the problem")
  func places() {
    let wrong = Self.fault(Self.changed("\"isOwn\":true", "\"isOwn\":1"))
    #expect(wrong.contains("line 2, column ") && wrong.contains("namespaces[0].isOwn: true or false is expected"))
    #expect(
      Self.fault(Self.changed("\"firstFreePort\":1024", "\"firstFreePort\":9e9")).contains("firstFreePort: a number"))
    #expect(Self.fault(Self.changed("\"name\":\"own\"", "\"name\":\"\\u001b[31m\"")).contains("must be escaped"))
    #expect(
      Self.fault(Self.changed("\"skippedNamespaces\":0", "\"skippedNamespaces\":9223372036854775807")).contains(
        "too large"))
    let socket = "\"sockets\":[\n{\"namespace\":7}]"
    #expect(Self.fault(Self.changed("\"sockets\":[]", socket)).contains("a namespace that is not listed"))
    #expect(
      Self.fault(Self.changed("\"holders\":[]", "\"holders\":[{\"pid\":-1}]")).contains("holders[0].pid: the number"))
    #expect(
      Self.fault(Self.changed("\"sockets\":[]", "\"sockets\":[{\"transport\":9}]")).contains("sockets[0].transport"))
  }

  @Test("lists of empty objects may not take more memory than the largest file")
  func memory() throws {
    let text = Array(Self.changed("\"sockets\":[]", "\"sockets\":[{},{},{}]").utf8)
    // The namespace and its counters, and two of the three sockets.
    let most = MemoryLayout<InetSocket>.stride * 3
    let fault = #expect(throws: CensusRecord.Fault.self) { try CensusRecord(json: text, room: most) }
    #expect(fault?.description.hasSuffix("sockets: the lists up to here take too much memory") == true)
    let copy = try CensusRecord(json: text)
    #expect(copy.census.sockets.count == 3 && copy.missing.count { $0 == "sockets[].cookie" } == 1)
  }

  @Test(
    "a text that is no JSON: the position and the mistake",
    arguments: [
      ("", "the text ends"), ("{", "a key is expected"), ("{\"a\":1,}", "a key is expected"), ("[1,]", "a value"),
      ("{\"a\" 1}", "a colon"), ("{\"a\":1 \"b\":2}", "a comma or }"), ("[01]", "a comma or ]"), ("[-]", "a digit"),
      ("[1.]", "a digit"), ("[1e]", "a digit"), ("[+1]", "a value"), ("\"a", "does not end"),
      ("\"\\x\"", "no such escape"),
      ("\"\\u12\"", "four hexadecimal"), ("\"\u{1}\"", "a control character"), ("nul", "a value"),
      ("1 2", "text follows"),
      ("{\"a\":1,\"a\":2}", "twice"),
      (String(repeating: "[", count: 40), "nested more than 32 deep"),
    ])
  func syntax(text: String, problem: String) {
    let fault = Self.fault(text)
    #expect(fault.hasPrefix("line 1, column ") && fault.contains(problem), "\(text): \(fault)")
  }

  @Test("bytes that are no UTF-8 are a fault, and any damage to a file is a fault or a census, never a crash")
  func damage() {
    #expect(throws: JSONText.Fault.self) { try JSONText([0x22, 0xff, 0x22]) }
    var random = SeededNumbers(3)
    let bytes = CensusRecord.random(&random).json()
    for _ in 0..<500 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: damaged.indices, using: &random)
        switch Int.random(in: 0...2, using: &random) {
        case 0: damaged[place] = UInt8.random(in: 0...255, using: &random)
        case 1: damaged.removeSubrange(place..<min(damaged.count, place + 9))
        default: damaged.insert(contentsOf: damaged[place..<min(damaged.count, place + 40)], at: place)
        }
      }
      guard let record = try? CensusRecord(json: damaged) else { continue }
      _ = Diagnosis.examine(record.census, record.options)
    }
  }

  @Test("strings with escapes, surrogates and all kinds of numbers are read as they were written")
  func values() throws {
    let text = try JSONText(
      Array(#"["a\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00", -9223372036854775808, 18446744073709551615]"#.utf8))
    var (strings, signed, unsigned): ([String], [Int64], [UInt64]) = ([], [], [])
    _ = text.forEachElement(at: text.root) { position in
      if let string = text.string(at: position) { strings.append(string) }
      if let number: Int64 = text.number(at: position) { signed.append(number) }
      if let number: UInt64 = text.number(at: position) { unsigned.append(number) }
    }
    #expect(strings == ["a\"\\/\u{8}\u{c}\n\r\té\u{e9}\u{1F600}"] && signed == [.min] && unsigned == [.max])
  }

  @Test("a name of a Unix socket comes back byte by byte")
  func names() {
    for bytes in [[0, 1, 255], Array("a\\x00 é\\".utf8), [0xc3], [0x5c, 0x78]] as [[UInt8]] {
      #expect(unescaped(visible(bytes)) == bytes)
    }
  }
}
