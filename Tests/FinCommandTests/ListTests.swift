import ArgumentParser
import FinDoctor
import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin list from the command line", .onThreads, .timeLimit(.minutes(30)))
struct ListTests {
  // Every listener has an address of its own, because its port may be in use on other addresses.

  @Test("a holder whose process ended before its name was read is shown as ended")
  func ended() {
    var socket = InetSocket()
    socket.inode = 9
    let census = Census(sockets: [socket], holders: Holders(sockets: [Holder(inode: 9, pid: 812, descriptor: 4)]))
    var text = TextBuffer()
    Listing(census).write(ownerOf: .inet(0), to: &text)
    #expect(text.text == "(ended)[812] fd 4")
    #expect(Phrase.program(812, in: census) == "(ended)[812]")
  }

  @Test("one line per socket: state, queues, addresses and holder")
  func owner() async throws {
    let address = "127.7.7.9"
    let listener = try PlainSocket.listening(on: address)
    let client = try PlainSocket.connected(to: address, port: listener.port)
    let server = try listener.accept()
    try client.send([1, 2, 3])
    let fin = try await Fin.run("list", "\(getpid())", "--tcp", "--address", address, "--port", "\(listener.port)")
    #expect(fin.status == 0 && fin.lines.count == 4 && fin.lines[0].hasPrefix("STATE "))
    #expect(fin.lines.allSatisfy { $0.count <= 100 })
    let line = try #require(fin.lines.first { $0.hasSuffix("fd \(server.descriptor)") })
    let words = line.split(separator: " ")
    #expect(words.prefix(3) == ["ESTABLISHED", "3", "0"])
    #expect(words[3] == "\(address):\(listener.port)" && words[4] == "127.0.0.1:\(client.port)")
    #expect(line.contains("[\(getpid())] fd "))
  }

  @Test("filters by state (names of RFC 9293 or ss), by address and by range; no match is no error")
  func filters() async throws {
    let listener = try PlainSocket.listening(on: "127.7.7.7")
    let port = "\(listener.port)"
    for name in ["LISTEN", "listening", "listen"] {
      #expect(
        try await Fin.run("list", "--own-namespace", "--port", port, "--no-header", "--state", name).lines.count == 1)
    }
    #expect(
      try await Fin.run("list", "--own-namespace", "--port", port, "--no-header", "--state", "close_wait").lines.isEmpty
    )
    #expect(
      try await Fin.run("list", "--own-namespace", "--port", port, "--address", "127.7.7.0/24", "--no-header").lines
        .count == 1)
    #expect(
      try await Fin.run("list", "--own-namespace", "--port", port, "--address", "127.7.8.0/24", "--no-header").lines
        .isEmpty)
    let none = try await Fin.run("list", "no-such-program")
    #expect(none.status == 0 && none.lines.count == 1)
  }

  @Test("--fields chooses the columns, --sort and --reverse the order of the lines")
  func fields() async throws {
    let listeners = try (0..<3).map { _ in try PlainSocket.listening(on: "127.7.7.8").detach() }
    defer { for listener in listeners { close(listener) } }
    let words = ["list", "--own-namespace", "--address", "127.7.7.8", "--no-header", "--fields", "fd,state,pid"]
    let rising = try await Fin.run(words + ["--sort", "fd"]).lines
    let expected = listeners.sorted().map { "\($0)" }
    #expect(rising.map { $0.split(separator: " ").first.map(String.init) } == expected)
    #expect(rising.allSatisfy { $0.hasSuffix("LISTEN \(getpid())") })
    #expect(try await Fin.run(words + ["--sort", "fd", "--reverse"]).lines == rising.reversed())
  }

  @Test("descriptors of sockets in no kernel table are shown as DETACHED", .needsScenes)
  func detached() async throws {
    // Not sockets of this process: its other threads may be in network namespaces that vanish before they are read.
    let stage = try Stage("detached", "reset", "3")
    defer { stage.child.end() }
    let pid = "\(stage.child.number)"
    let fin = try await Fin.run("list", pid, "--state", "detached", "--no-header", "--fields", "state,fd")
    #expect(fin.lines.count == 3, "\(fin)")
    for line in fin.lines {
      let words = line.split(separator: " ")
      let link = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(words.last ?? "")")
      #expect(words.first == "DETACHED" && link.hasPrefix("socket:"))
    }
  }

  @Test("clients in an accept queue are shown with the holder of their listener")
  func queued() async throws {
    let address = "127.7.7.10"
    let listener = try PlainSocket.listening(on: address)
    let waiting = try PlainSocket.connected(to: address, port: listener.port)
    let queue = try await Fin.run(
      "list", "--state", "waiting", "--own-namespace", "--address", address, "--port", "\(waiting.port)", "--no-header",
      "--wide")
    #expect(queue.lines.count == 1 && queue.output.contains("queue of ") && queue.output.contains("[\(getpid())]"))
  }

  @Test(
    "--over names the former holder of a socket in TIME-WAIT, in text and in JSON",
    .needsScenes)
  func former() async throws {
    let stage = try Stage("resting")
    defer { stage.child.end() }
    let pid = stage.child.number
    func closing(_ words: String...) throws -> String {
      let fin = try Child.spawn(Fin.path, ["list", "\(pid)", "--state", "time-wait", "--over", "5s"] + words)
      try eventually(within: .seconds(60), "fin rests between its two looks") {
        try String(contentsOfFile: "/proc/\(fin.number)/wchan", encoding: .utf8).contains("nanosleep")
      }
      #expect(try stage.ask("close") == "closed")
      return try fin.readToEnd(within: .seconds(60))
    }
    let lines = try closing("--no-header", "--wide").split(separator: "\n")
    #expect(lines.count == 1 && lines.first?.contains("TIME-WAIT") == true, "\(lines)")
    #expect(lines.first?.hasSuffix("[\(pid)] fd \(stage.words[0])") == true && lines.first?.contains(" was ") == true)
    // Now the other socket; this run did not see the holder of the first.
    let listed = try ListedLine.read(try closing("--json")).sockets
    #expect(listed.count == 1 && listed.first?.holders.isEmpty == true)
    #expect(listed.first?.formerHolder?.pid == Int(pid) && listed.first?.formerHolder?.fd == Int(stage.words[1]))
    #expect(listed.first?.formerHolder?.program?.hasPrefix("python3") == true)
  }

  @Test("Unix sockets are listed with their names")
  func unix() async throws {
    let name = "@fin-list-\(getpid())"
    let listener = try PlainSocket.listening(onUnix: name)
    // In the own network namespace, because otherwise each line begins with its namespace.
    let fin = try await Fin.run("list", "--unix", "--own-namespace", "--no-header", "--wide")
    let lines = fin.lines.filter { $0.contains(name) }
    #expect(lines.count == 1)
    let line = try #require(lines.first)
    #expect(line.hasPrefix("LISTEN") && line.hasSuffix("[\(getpid())] fd \(listener.descriptor)"), "\(lines)")
  }

  @Test("a program name with terminal escape sequences is shown escaped")
  func hostileName() async throws {
    let name = "/tmp/\u{1B}[31mevil\u{202E}\(getpid())"
    let sleep = try #require(Programs.find("sleep"))
    try Scene.copy(sleep, to: name)
    defer { unsafe unlink(name) }
    let address = "127.7.7.11"
    let listener = try PlainSocket.listening(on: address)
    let child = try Child.spawn(name, ["3600"], heirloom: .asNumberThree(listener.descriptor))
    defer { child.end() }
    let words = ["list", "--own-namespace", "--address", address, "--port", "\(listener.port)", "--wide"]
    let (text, json) = (try await Fin.run(words).output, try await Fin.run(words + ["--json"]).output)
    #expect(text.contains(" +1") && json.contains("\\\\x1b[31mevil\\\\xe2\\\\x80\\\\xae\(getpid())"))
    #expect((text + json).unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && $0 != "\u{202E}" })
    #expect(try ListedLine.read(json).sockets.first?.holders.count == 2)
  }

  @Test("20,000 lines, made in several pieces: each once, in order, in columns as wide as the widest value")
  func pieces() throws {
    var census = Census()
    for number in 1...20_000 as ClosedRange<UInt32> {
      var socket = InetSocket()
      (socket.inode, socket.cookie) = (number, UInt64(number))
      socket.localPort = UInt16(number)
      // The longest value is in the last piece.
      socket.isIPv6 = number == 19_999
      if socket.isIPv6 { socket.localBits = AddressBits(high: 0x2001_0db8_1111_2222, low: 0x3333_4444_5555_6666) }
      census.sockets.append(socket)
    }
    let listing = Listing(census)
    let rows = census.sockets.indices.map { ListedSocket.inet($0) }
    var table = ListTable([.inode, .local, .state], headings: true)
    table.append(rows, of: listing)
    var text = ""
    table.write(page: 100) { text += String(decoding: $0, as: UTF8.self) }
    let lines = text.split(separator: "\n")
    try #require(lines.count == 20_001)
    #expect(lines.dropFirst().map { Int($0.prefix(5).drop { $0 == " " }) } == Array(1...20_000))
    let width = "[2001:db8:1111:2222:3333:4444:5555:6666]:19999".count
    #expect(lines.dropFirst().allSatisfy { $0.count == 6 + width + 1 + "ESTABLISHED".count })

    text = ""
    ListJSON.write(rows, matching: rows.count, of: listing) { text += String(decoding: $0, as: UTF8.self) }
    #expect(try ListedLine.read(text).sockets.map(\.inode) == Array(1...20_000))
    #expect(text.split(separator: "\n").count == 20_001)
  }

  @Test("a BPF program is loaded unless --no-bpf is given")
  func loadsProgram() throws {
    #expect(try ListCommand.parse([]).looking.census.loadsProgram)
    #expect(try !ListCommand.parse(["--no-bpf"]).looking.census.loadsProgram)
    #expect(try !CheckCommand.parse(["--no-bpf", "--own-namespace"]).looking.census.loadsProgram)
  }

  @Test("the JSON has a version and named fields")
  func json() async throws {
    let address = "127.7.7.12"
    let listener = try PlainSocket.listening(on: address)
    let waiting = try PlainSocket.connected(to: address, port: listener.port)
    let whole = try ListedLine.read(
      try await Fin.run("list", "--own-namespace", "--address", address, "--port", "\(listener.port)", "--json").output)
    #expect(whole.version == 1 && whole.sockets.count == 3)
    let listening = try #require(whole.sockets.first { $0.state == "LISTEN" })
    #expect(listening.receiveQueue == 1 && listening.holders.contains { $0.fd == listener.descriptor })
    let queued = try #require(whole.sockets.first { $0.localPort == Int(listener.port) && $0.inode == 0 })
    #expect(queued.waitingForAccept == true && queued.holders.isEmpty && queued.remotePort == Int(waiting.port))
  }

  @Test(
    "as an unprivileged user: sockets are listed without holders, and standard error says what was hidden",
    .enabled(if: Privileges.isRoot, "needs root, to run as another user"),
    .enabled(if: Programs.find("setpriv") != nil, "needs setpriv"),
    .enabled(if: nobodyMayRunFin, "needs a build that every user may run"))
  func nobody() async throws {
    let address = "127.7.7.13"
    let listener = try PlainSocket.listening(on: address)
    let words = ["list", "--own-namespace", "--address", address, "--port", "\(listener.port)"]
    let fin = try await Fin.run(as: 65534, words + ["--no-header"])
    #expect(
      fin.status == 0 && fin.lines.count == 1 && fin.output.contains("LISTEN") && fin.output.contains("user 0"),
      "\(fin)")
    #expect(!fin.output.contains("fd "), "\(fin)")
    #expect(fin.complaints.contains("could not be read") && fin.complaints.contains("of user 0"), "\(fin)")
    let all = try await Fin.run(as: 65534, words + ["--json"])
    #expect(try ListedLine.read(all.output).hidden.contains { $0.contains("could not be read") })
  }

  static let nobodyMayRunFin: Bool = {
    guard Privileges.isRoot, let setpriv = Programs.find("setpriv") else { return false }
    let done = try? withChild(setpriv, Fin.words(as: 65534, ["--version"])) { try $0.wait() }
    return done == .exited(0)
  }()

  @Test(
    "invalid arguments: status 64, and a message with the invalid value",
    arguments: [
      ["--state", "wide-open"], ["--fields", "state,nonsense"], ["--sort", "nonsense"], ["--port", "70000"],
      ["--address", "10.0.0.0/33"], ["--address", "::1/129"], ["--address", "1.2.3"],
    ])
  func misunderstood(words: [String]) async throws {
    let fin = try await Fin.run(["list"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty && fin.complaints.contains(words[1]))
  }
}
