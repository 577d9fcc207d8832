import FoundationEssentials
import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite(
  "The page of fin report has all of the census, and no text of a stranger is markup in it", .onThreads,
  .timeLimit(.minutes(30)))
struct ReportPageTests {
  @Test(
    "every finding of the data is a card with its sentence, on pages of real censuses", arguments: ReportStage.corpus)
  func findings(name: String) throws {
    let page = try ReportStage.page(try ReportStage.record(name))
    let content = try ReportStage.content(of: page)
    #expect(content.findings.isEmpty == (name == "zero-window"))
    let expected = Diagnosis.findings(in: try ReportStage.record(name).census, try ReportStage.record(name).options)
    #expect(content.findings.map(\.sentence).sorted() == expected.map(\.sentence).sorted())
    for (place, finding) in content.findings.enumerated() {
      let card = try #require(
        page.firstRange(of: "<article id=\"finding-\(place + 1)\" class=\"card \(finding.severity)"))
      let end = try #require(page[card.upperBound...].firstRange(of: "</article>"))
      let text = page[card.upperBound..<end.lowerBound]
      #expect(text.contains(Markup.escaped(finding.sentence)) && text.contains(" \(finding.id) "), "\(finding)")
    }
    #expect(ReportStage.mistakes(in: page) == [])
  }

  @Test("bytes that wait in connections are drawn, the most first, and a closed window is said")
  func queues() throws {
    var record = ReportStage.record(sockets: 40)
    record.census.sockets[7].receiveQueue = 70_000
    (record.census.sockets[8].sendQueue, record.census.sockets[8].timer) = (90_000, .persist)
    // A FIN alone, and clients that wait for a listener, are no bytes.
    record.census.sockets[9].receiveQueue = 1
    (record.census.sockets[10].state, record.census.sockets[10].receiveQueue) = (.listen, 5)
    let page = try ReportStage.page(record)
    let begin = try #require(page.firstRange(of: "<section id=\"queues\""))
    let end = try #require(page[begin.upperBound...].firstRange(of: "</section>"))
    let section = page[begin.lowerBound..<end.lowerBound]
    #expect(section.ranges(of: "class=\"row\"").count == 2)
    let sent = section.firstRange(of: "90,000 bytes not acknowledged by the peer, the peer takes nothing: its window")
    let read = section.firstRange(of: "70,000 bytes not read by the program<")
    #expect(try #require(sent).lowerBound < (try #require(read)).lowerBound, "\(section)")
    #expect(try ReportStage.page(ReportStage.record(sockets: 5)).contains("No bytes wait in a connection."))
    #expect(ReportStage.mistakes(in: page) == [])
  }

  @Test("a program whose name and arguments are markup is text, in the page and in its data")
  func hostile() throws {
    let record = ReportStage.record(sockets: 80, program: ReportStage.hostile, arguments: ReportStage.hostile)
    let page = try ReportStage.page(record)
    #expect(!page.contains("<img") && !page.contains("<!--") && page.contains("&lt;img src=x onerror=alert(1)&gt;"))
    #expect(page.ranges(of: "<script").count == 2 && page.ranges(of: "</script").count == 2)
    #expect(ReportStage.mistakes(in: page) == [])
    let content = try ReportStage.content(of: page)
    #expect(content.sockets.owners == ["\(ReportStage.hostile)[50]"])
    #expect(content.findings.contains { $0.id == "L1" && $0.sentence.hasPrefix(ReportStage.hostile) })
  }

  @Test("text and attributes are escaped, and control characters are replaced")
  func escaping() {
    #expect(Markup.escaped("a<b>&\"'\u{1B}[31m\nä") == "a&lt;b&gt;&amp;&quot;&#39;\u{FFFD}[31m\nä")
    var markup = Markup()
    markup.add(.p, [.init(.title, "\"><x")], "</p>")
    #expect(markup.buffer.text == "<p title=\"&quot;&gt;&lt;x\">&lt;/p&gt;</p>")
    var data = Markup()
    data.data(Array("{\"a\":\"</script>&\"}".utf8))
    #expect(data.buffer.text.contains("{\"a\":\"\\u003c/script\\u003e\\u0026\"}"))
    #expect([0, 1, -1.5, 33.333, 0.05].map(Markup.number) == ["0", "1", "-1.5", "33.33", "0.05"])
  }

  @Test("the policy of the page names the digests of its style and its script, and nothing else")
  func policy() throws {
    let page = try ReportStage.page(try ReportStage.record("close-wait"))
    let script = try #require(page.wholeMatch(of: /(?s).*<script>(.*)<\/script>.*/)?.1)
    let style = try #require(page.firstMatch(of: /(?s)<style>(.*?)<\/style>/)?.1)
    let rules = try #require(page.firstMatch(of: /Content-Security-Policy" content="([^"]*)"/)?.1)
    #expect(
      rules == "default-src 'none'; style-src '\(SHA256.source(of: String(style)))'; script-src "
        + "'\(SHA256.source(of: String(script)))'; base-uri 'none'; form-action 'none'")
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains(" style=\""))
    #expect(!page.contains("<link") && !page.contains(" src="))
    // FIPS 180-4's examples, and the empty text, in base64 as sha256sum and base64 print them.
    #expect(SHA256.source(of: "abc") == "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
    #expect(SHA256.source(of: "") == "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    #expect(SHA256.source(of: long) == "sha256-JI1qYdIGOLjlwCaTDD5gOaM85Flk/yFn9uzt1BnbBsE=")
  }

  @Test("each client in an accept queue is a dot at the time that it has waited")
  func waiters() throws {
    let page = try ReportStage.page(try ReportStage.record("accept-queue"))
    let begin = try #require(page.firstRange(of: "<section id=\"listeners\"")?.lowerBound)
    let section = page[begin..<(try #require(page[begin...].firstRange(of: "</section>")?.lowerBound))]
    #expect(section.ranges(of: "<circle class=\"in\"").count == 3 && section.contains("3 clients, waiting for "))
    #expect(!(try ReportStage.page(ReportStage.record(sockets: 80))).contains("A dot is a client"))
  }

  @Test("the columns of the data have every socket of the census", arguments: [1000, 40])
  func columns(count: Int) throws {
    let record = ReportStage.record(sockets: count)
    let page = try ReportStage.page(record)
    let sockets = try ReportStage.content(of: page).sockets
    #expect(sockets.count == count)
    var last = 0
    let descriptors = sockets.column("descriptorSteps").map { step in
      last += step
      return last
    }
    let (states, remotes) = (sockets.column("state"), sockets.column("remote"))
    let (ports, local) = (sockets.column("remotePort"), sockets.column("localPort"))
    var rows: Set<String> = []
    for place in 0..<count {
      rows.insert(
        "\(sockets.states[states[place]]) \(local[place]) \(sockets.addresses[remotes[place]]):\(ports[place]) "
          + "fd \(descriptors[place])")
    }
    let expected = record.census.sockets.map { socket in
      let descriptor = record.census.holders.first(of: socket.inode)?.descriptor ?? -1
      return
        "\(socket.state) \(socket.localPort) \(socket.remoteAddress.with(port: socket.remotePort)) fd \(descriptor)"
    }
    #expect(rows == Set(expected))
    #expect(sockets.column("finding").count { $0 >= 0 } >= min(count, 60))
    #expect(page.ranges(of: "<tr><td>").count == min(count, ReportTable.most))
  }

  @Test("a page has 300 KB at most with 1,000 sockets, and 3 MB with 100,000, and says which rows are left out")
  func sizes() throws {
    let small = try ReportStage.page(ReportStage.record(sockets: 1000))
    #expect(small.utf8.count <= 300_000, "\(small.utf8.count)")
    let large = try ReportStage.page(ReportStage.record(sockets: 100_000))
    #expect(large.utf8.count <= 3_000_000, "\(large.utf8.count)")
    #expect(large.contains("The first 400 of 100,000 sockets"))
  }

  @Test("every colour of text has a contrast of 4.5 at least, and every shape one of 3", arguments: [false, true])
  func contrast(isDark: Bool) {
    func light(_ colour: UInt32) -> Double {
      let parts = [16, 8, 0].map { shift -> Double in
        let value = Double(colour >> UInt32(shift) & 255) / 255
        return value <= 0.04045 ? value / 12.92 : Self.power((value + 0.055) / 1.055)
      }
      return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    }
    func contrast(_ front: UInt32, _ back: UInt32) -> Double {
      let (a, b) = (light(front), light(back))
      return (max(a, b) + 0.05) / (min(a, b) + 0.05)
    }
    let palette = isDark ? ReportPalette.dark : .light
    #expect(abs(contrast(0, 0xff_ffff) - 21) < 0.001)
    for pair in palette.textPairs {
      #expect(
        contrast(pair.front, pair.back) >= 4.5, "\(String(pair.front, radix: 16)) \(String(pair.back, radix: 16))")
    }
    for pair in palette.shapePairs {
      #expect(contrast(pair.front, pair.back) >= 3, "\(String(pair.front, radix: 16)) \(String(pair.back, radix: 16))")
    }
  }

  /// x to the power of 2.4, which is x² times the fifth root of x².
  private static func power(_ x: Double) -> Double {
    var root = 1.0
    for _ in 0..<60 { root -= (root * root * root * root * root - x * x) / (5 * root * root * root * root) }
    return x * x * root
  }

  @Test("a muted finding is counted, and not on the page")
  func muted() throws {
    let record = ReportStage.record(sockets: 80)
    let page = try ReportStage.page(record, try Mutes(parsing: "L1 api"))
    #expect(try !ReportStage.content(of: page).findings.contains { $0.id == "L1" })
    #expect(page.contains("1 finding muted"))
    let redacted = try ReportStage.page(record, try Mutes(parsing: "L1 api"), isRedacted: true)
    #expect(try !ReportStage.content(of: redacted).findings.contains { $0.id == "L1" })
  }

  @Test("a redacted page has no name, no argument, no address and no host, and the same findings")
  func redacted() throws {
    let record = ReportStage.record(sockets: 80, program: "zebra-api", arguments: "zebra-api --token=s3cret")
    let page = try ReportStage.page(record, isRedacted: true)
    for secret in ["zebra", "s3cret", "192.168.", "10.0.0.1", "host-7"] { #expect(!page.contains(secret), "\(secret)") }
    let plain = try ReportStage.content(of: try ReportStage.page(record))
    #expect(try ReportStage.content(of: page).findings.map(\.id) == plain.findings.map(\.id))
    #expect(page.contains("program-1 (pid 50)"))
  }

  @Test(
    "a moment is written in UTC",
    arguments: [
      (0, "1970-01-01 00:00:00 UTC"), (951_826_154, "2000-02-29 12:09:14 UTC"),
      (1_796_014_329, "2026-11-30 04:52:09 UTC"),
      (4_107_542_399, "2100-02-28 23:59:59 UTC"),
    ])
  func moments(seconds: Int64, words: String) {
    #expect(ReportTime.words(seconds * 1_000_000_000) == words)
  }
}

@Suite("fin report writes its file whole, or not at all", .onThreads, .timeLimit(.minutes(30)))
struct ReportCommandTests {
  @Test("a file that its owner alone may read, under a name of its own, and nothing beside it")
  func file() async throws {
    let folder = try TemporaryFolder()
    let named = try await Fin.run("report", "--own-namespace", "-o", folder.path + "/a.html")
    #expect(named.status == 0 && named.output.hasPrefix("\(folder.path)/a.html: "), "\(named)")
    #expect(folder.names == ["a.html"] && folder.mode(of: "a.html") == 0o600)
    let page = try #require(TextFile.read(folder.path + "/a.html"))
    #expect(page.hasPrefix("<!DOCTYPE html>\n<html") && page.hasSuffix("</html>\n"))
    #expect(ReportStage.mistakes(in: page) == [])
    let usual = try await Fin.shell("cd \(folder.path) && \"$0\" report --own-namespace --redact")
    #expect(usual.status == 0 && folder.names.count == 2, "\(usual) \(folder.names)")
    #expect(folder.names.contains { $0.wholeMatch(of: /fin-report-\d{8}-\d{6}\.html/) != nil }, "\(folder.names)")
  }

  @Test("- is standard output, and a census of a file is examined as it was")
  func pipe() async throws {
    let tests = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let fin = try await Fin.run("report", "--from", "\(tests)/FinDoctorTests/Corpus/close-wait.json", "-o", "-")
    #expect(fin.status == 0 && fin.output.hasPrefix("<!DOCTYPE html>"))
    let content = try ReportStage.content(of: fin.output)
    #expect(content.findings.contains { $0.id == "L1" } && fin.output.contains("not in the file"))
    let page = try await Fin.run("help", "json", "report", columns: 1000)
    #expect(page.output.hasPrefix("The data in the page of fin report is one object"))
    try SchemaTests.expect(Fin(status: 0, output: try ReportStage.data(of: fin.output), complaints: ""), toHave: page)
  }

  @Test("a folder, a device, a name in no folder, a file that is no census: an error, and no file")
  func faults() async throws {
    let folder = try TemporaryFolder()
    for path in [folder.path, "/dev/stdout", "/dev/null", folder.path + "/none/a.html"] {
      let fin = try await Fin.run("report", "--own-namespace", "-o", path)
      #expect(fin.status == 74 && fin.output.isEmpty && fin.complaints.contains(path), "\(fin)")
    }
    #expect(folder.names == [])
    #expect(try await Fin.run("report", "--from", "/no/such/file", "-o", folder.path + "/a").status == 66)
    #expect(try await Fin.run("report", "--namespace", "no-such-one", "-o", folder.path + "/a").status == 69)
    #expect(try await Fin.run("report", "-o", "").status == 64)
    #expect(folder.names == [])
  }
}

@Suite("A browser shows the page of fin report", .onThreads, .timeLimit(.minutes(30)))
struct ReportInBrowserTests {
  private static let hasBrowser =
    ["chromium-headless-shell", "chromium"].contains { Programs.find($0) != nil } && Programs.find("python3") != nil

  @Test(
    "at 360 to 1,600 px, dark, printed, by keyboard, without its script: no error, no request, nothing cut off",
    .enabled(if: hasBrowser, "needs chromium-headless-shell and python3"))
  func look() async throws {
    let tests = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let run = try await Fin.run(program: "python3", ["-B", "\(tests)/report", Fin.path])
    #expect(run.status == 0, "\(run.output)\(run.complaints)")
  }
}

@Suite("fin report --diff reads two pages, and says what changed between them", .onThreads, .timeLimit(.minutes(30)))
struct ReportDiffTests {
  private func reading(_ record: CensusRecord) throws -> ReportReading {
    try ReportReading(Array(try ReportStage.page(record).utf8))
  }

  @Test("a finding that appeared, one that ended, one that grew; sockets that appeared, ended, changed their state")
  func changes() throws {
    let plain = ReportStage.record(sockets: 80)
    var later = ReportStage.record(sockets: 90)
    // Ten more, ten more in CLOSE-WAIT, and five that have ended.
    for place in 60..<70 { later.census.sockets[place].state = .closeWait }
    later.census.sockets.removeLast(5)
    let diff = try ReportDiff(try reading(plain), try reading(later))
    #expect(diff.appeared.isEmpty && diff.ended.isEmpty)
    #expect(diff.changed.first == .init(name: "L1 close-wait-known of api[50]", old: 60, new: 70), "\(diff.changed)")
    #expect(diff.births == (5, 0, 10))
    #expect(
      diff.groups == [
        .init(name: "api[50] CLOSE-WAIT", old: 60, new: 70), .init(name: "api[50] ESTABLISHED", old: 20, new: 15),
      ])
    var healthy = plain
    for place in healthy.census.sockets.indices { healthy.census.sockets[place].state = .established }
    let found = try ReportDiff(try reading(healthy), try reading(plain))
    #expect(found.appeared.map(\.name) == ["L1 close-wait-known"] && found.ended.isEmpty)
    let ended = try ReportDiff(try reading(plain), try reading(healthy))
    #expect(ended.ended.map(\.name) == ["L1 close-wait-known"] && ended.births == (0, 0, 60))
    #expect(ended.text().contains("  ended     WARNING  L1 close-wait-known\n"), "\(ended.text())")
    let same = try ReportDiff(try reading(plain), try reading(plain)).text()
    #expect(same.contains("  the same\n") && same.contains("  0 appeared, 0 ended, 0 changed their state\n"))
  }

  @Test("the command compares two files, and refuses what is no page, a redacted page, and one page alone")
  func command() async throws {
    let folder = try TemporaryFolder()
    let tests = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    func path(_ name: String) -> String { folder.path + "/" + name }
    for (name, words) in [("a", ["accept-queue"]), ("b", ["close-wait"]), ("r", ["close-wait", "--redact"])] {
      // The censuses that are kept are redacted, and say so.
      let census = try String(contentsOfFile: "\(tests)/FinDoctorTests/Corpus/\(words[0]).json", encoding: .utf8)
      let file = path("census")
      try ReplacedFile.write(Array(census.replacing("\"redacted\":true", with: "\"redacted\":false").utf8), to: file)
      let fin = try await Fin.run(["report", "--from", file, "-o", path(name)] + words.dropFirst())
      #expect(fin.status == 0, "\(fin)")
    }
    let fin = try await Fin.run("report", "--diff", path("a"), path("b"))
    #expect(fin.status == 0 && fin.output.contains("ended     CRITICAL  A1 accept-overflow"), "\(fin)")
    #expect(fin.output.contains("appeared  ") && fin.output.contains("L1 close-wait-known"))
    #expect(fin.lines.contains { $0.hasPrefix("From 2026-11-29 ") })
    #expect(try await Fin.run("report", "--diff", path("a"), path("r")).status == 65)
    let kept = "\(tests)/FinDoctorTests/Corpus/close-wait.json"
    #expect(try await Fin.run("report", "--from", kept, "-o", path("k")).status == 0)
    #expect(try await Fin.run("report", "--diff", path("a"), path("k")).status == 65)
    #expect(try await Fin.run("report", "--diff", path("a"), "/etc/passwd").status == 65)
    #expect(try await Fin.run("report", "--diff", path("a"), path("none")).status == 66)
    #expect(try await Fin.run("report", "--diff", path("a")).status == 64)
    #expect(try await Fin.run("report", "--diff", path("a"), path("b"), "--redact").status == 64)
  }

  @Test("damaged columns are an error, and text of a page cannot reach the terminal as a command")
  func damaged() async throws {
    let page = try ReportStage.page(ReportStage.record(sockets: 80))
    for (text, other) in [
      ("\"count\":80", "\"count\":81"), ("\"count\":80", "\"count\":99999999999"),
      ("\"kind\":\"fin report\"", "\"kind\":\"fin\""), ("\"version\":1", "\"version\":2"),
      ("\"values\":{", "\"values\":["), ("\"localPort\":[8080,80]", "\"localPort\":[8080,4611686018427387904]"),
    ] {
      #expect(page.contains(text), "\(text)")
      #expect(throws: ReportReading.Fault.self, "\(other)") {
        try ReportReading(Array(page.replacing(text, with: other).utf8))
      }
    }
    let folder = try TemporaryFolder()
    let file = folder.path + "/a"
    try ReplacedFile.write(Array(page.replacing("api[50]", with: "\\u001b[31mapi").utf8), to: file)
    try ReplacedFile.write(Array(page.replacing("api[50]", with: "b").utf8), to: file + "b")
    let fin = try await Fin.run("report", "--diff", file, file + "b")
    #expect(fin.status == 0 && !fin.output.utf8.contains(0x1B) && fin.output.contains("\\x1b[31mapi"), "\(fin)")
  }
}
