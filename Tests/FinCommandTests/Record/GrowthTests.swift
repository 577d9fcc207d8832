import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("fin record growth says what grew in a time", .needsRecorder, .onThreads, .timeLimit(.minutes(30)))
struct GrowthTests {
  /// 2026-11-29 23:59:30 UTC: the third look is in the file of the next day.
  private static let begin: Int64 = 1_795_996_770_000

  /// A program with this many connections in CLOSE-WAIT and in ESTABLISHED, to one peer each.
  private func census(_ closeWait: Int, _ established: Int) -> Census {
    var sockets: ContiguousArray<InetSocket> = []
    var holders: ContiguousArray<Holder> = []
    for number in 0..<closeWait + established {
      var socket = InetSocket()
      (socket.cookie, socket.inode) = (UInt64(number + 1), UInt32(number + 100))
      if number >= closeWait { socket.cookie += 1000 }
      socket.state = number < closeWait ? .closeWait : .established
      (socket.localPort, socket.remotePort) = (8080, UInt16(3000 + number))
      socket.remoteBits = AddressBits(low: number < closeWait ? 0x0a00_0001 : 0x0a00_0002)
      sockets.append(socket)
      holders.append(Holder(inode: socket.inode, pid: 50, descriptor: Int32(number + 3)))
    }
    var program = Program(pid: 50, name: "python3.11")
    (program.script, program.started) = ("api.py", 7)
    return Census(
      sockets: sockets, holders: Holders(sockets: holders, processes: [HoldingProcess(pid: 50)]),
      programs: [50: program])
  }

  private func history(_ counts: [(Int, Int)]) throws -> HistoryPlaceOnDisk {
    try WrittenHistory.of(counts.map { census($0.0, $0.1) }, from: Self.begin)
  }

  @Test("programs by state and peers, from the first look of the time to the last, also over two files")
  func courses() throws {
    let place = try history([(2, 9), (3, 5), (5, 8), (8, 10)])
    #expect(place.names.count { $0.hasSuffix(".fin") } == 2, "\(place.names)")
    let reader = try HistoryReader(HistoryFolder(place.path))
    let growth = reader.growth(from: 0, to: .max / 4)
    #expect(growth.looks == (0..<4).map { Self.begin + $0 * 20_000 })
    let grown = growth.grown
    #expect(grown.map(\.subject).prefix(2).contains(.program("python3.11 api.py", state: "CLOSE-WAIT")))
    #expect(grown.map(\.subject).prefix(2).contains(.peer("10.0.0.1")))
    #expect(grown.map(\.subject).suffix(2).contains(.program("python3.11 api.py", state: "ESTABLISHED")))
    let leak = growth.courses[.program("python3.11 api.py", state: "CLOSE-WAIT")]
    #expect(leak?.values == [2, 3, 5, 8] && leak?.neverFell == true && leak?.growth == 6)
    #expect(growth.courses[.peer("10.0.0.2")]?.values == [9, 5, 8, 10])
    // A part of the time: up to the third look.
    let part = reader.growth(from: Self.begin + 20_000, to: Self.begin + 50_000)
    #expect(part.looks.first == Self.begin + 20_000 && part.looks.last == Self.begin + 40_000)
    #expect(part.courses[.program("python3.11 api.py", state: "CLOSE-WAIT")]?.values == [3, 5])
    #expect(reader.growth(from: Self.begin + 900_000, to: Self.begin + 990_000).looks.count <= 1)
  }

  @Test("the command prints it, as text and as JSON that fits its schema; a program's name selects")
  func command() async throws {
    let place = try history([(2, 9), (3, 5), (5, 8), (8, 10)])
    let ends = ["--directory", place.path]
    let text = try await Fin.run(["record", "growth"] + ends)
    #expect(text.status == 0 && text.output.contains(", 4 looks compared\n"), "\(text)")
    #expect(text.output.contains("  python3.11 api.py CLOSE-WAIT: 2 → 8, and never fell\n"))
    #expect(text.output.contains("  python3.11 api.py ESTABLISHED: 9 → 10\n"))
    #expect(text.output.contains("  10.0.0.1: 2 → 8"))
    let json = try await Fin.run(["record", "growth", "--json"] + ends)
    try SchemaTests.expect(json, toHave: try await Fin.run("help", "json", "record", columns: 1000))
    #expect(json.output.contains(#""program":"python3.11 api.py","state":"CLOSE-WAIT","first":2,"last":8"#), "\(json)")
    let one = try await Fin.run(["record", "growth", "API"] + ends)
    #expect(one.output.contains("CLOSE-WAIT") && !one.output.contains("10.0.0.1"), "\(one)")
    let none = try await Fin.run(["record", "growth", "nginx"] + ends)
    #expect(none.status == 0 && none.output.contains("Nothing is more"), "\(none)")
  }

  @Test("one look is too few to tell, and words that do not fit are refused")
  func refused() async throws {
    let place = try history([(2, 9)])
    let fin = try await Fin.run("record", "growth", "--directory", place.path)
    #expect(fin.status == 69 && fin.output.isEmpty && fin.complaints.contains("one look only"), "\(fin)")
    #expect(try await Fin.run("record", "growth", "a", "b").status == 64)
    #expect(try await Fin.run("record", "growth", "--directory", "/no/such/folder").status == 66)
  }
}

@Suite("SIGUSR1 writes the last ten minutes", .needsRecorder, .onThreads, .timeLimit(.minutes(30)))
struct RecordDumpTests {
  private func rows(_ folder: HistoryPlaceOnDisk, _ query: String) throws -> Int64 {
    let name = try #require(folder.names.first { $0.hasSuffix(".fin") })
    let database = try Database("\(folder.path)/\(name)", .reading)
    return try HistorySchema.number(database, query)
  }

  @Test("the sockets of each second and a key frame are in the file, and recording goes on")
  func dump() throws {
    let folder = try HistoryPlaceOnDisk()
    let listener = try PlainSocket.listening(on: "127.0.0.1")
    let record = try Talker(["record", "--every", "1h", "--own-namespace", "--directory", folder.path])
    #expect(try record.child.readLine()?.hasPrefix("records to ") == true)
    for turn in 1...2 {
      record.child.signal(SIGUSR1)
      let line = try record.child.readLine()
      #expect(line?.hasPrefix("wrote the last ten minutes to \(folder.path)/") == true, "\(line ?? "nothing")")
      #expect(try rows(folder, "SELECT count(*) FROM ring") == Int64(turn))
      #expect(try rows(folder, "SELECT count(*) FROM second WHERE ring = \(turn) AND lp = \(listener.port)") == 1)
      #expect(try rows(folder, "SELECT count(*) FROM frame") == Int64(turn + 1))
    }
    record.child.signal(SIGTERM)
    #expect(try record.child.wait() == .exited(0))
    #expect(record.complaints.isEmpty, "\(record.complaints)")
  }

  @Test("without these looks it says so, and goes on; a signal that was ignored at the start stays ignored")
  func without() throws {
    let folder = try HistoryPlaceOnDisk()
    let script = "trap '' HUP; exec \"$0\" record --no-ring --every 1h --own-namespace --directory \"$1\" 2>&1"
    let record = try Child.spawn(Programs.find("sh") ?? "/bin/sh", ["-c", script, Fin.path, folder.path])
    defer { record.end() }
    #expect(try record.readLine()?.hasPrefix("records to ") == true)
    record.signal(SIGHUP)
    record.signal(SIGUSR1)
    #expect(try record.readLine()?.contains("no looks beside those of --every") == true)
    record.signal(SIGTERM)
    #expect(try record.wait() == .exited(0))
  }
}
