import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A pump through a pipe: every byte in order, whatever the kernel refuses", .onThreads, .timeLimit(.minutes(30)))
struct PumpSplicing {
  private static let size = 6_000_000

  /// Pumps numbered bytes each way, with scripted system calls in the pump's thread.
  ///
  /// - Returns: what each side saw, and the report.
  private func pump(_ script: Script) throws -> (client: String, server: String, report: PumpReport) {
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let client = near.plain.detach()
    let server = far.plain.detach()
    let shelves = [near.ours.detaching(), far.ours.detaching()]
    let pump = onThread { () throws -> PumpReport in
      try scripted(script) { Connection.pump(shelves[0].take(), shelves[1].take()) }
    }
    let seen = onThread { () throws -> [String] in
      try RelayScene.exchange(PlainSocket(adopting: client), PlainSocket(adopting: server), Self.size)
    }
    let words = try seen.join()
    return (words[0], words[1], try pump.join())
  }

  private func expectWhole(_ seen: (client: String, server: String, report: PumpReport)) {
    #expect(seen.client == "\(Self.size) bytes, numbered, FIN" && seen.server == seen.client)
    #expect(seen.report.isDelivered && seen.report.forward.bytes == Self.size, "\(seen.report)")
    #expect(seen.report.backward == PumpedStream(bytes: Self.size, ending: .finished))
  }

  @Test("after the first 64 KiB the bytes go through a pipe, and few calls move them")
  func spliced() throws {
    let script = Script()
    expectWhole(try pump(script))
    #expect(script.count(.pipe) == 2, "a pipe each way")
    #expect(script.count(.splice) > 10)
    let copied = script.count(.recv)
    #expect(copied < 100, "\(copied) calls received for the first 64 KiB")
  }

  @Test("a short stream never needs a pipe")
  func short() throws {
    let script = Script()
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let client = near.plain
    let server = far.plain
    let shelves = [near.ours.detaching(), far.ours.detaching()]
    let pump = onThread { () throws -> PumpReport in
      try scripted(script) { Connection.pump(shelves[0].take(), shelves[1].take()) }
    }
    try client.send(numbered(60_000))
    try client.finishSending()
    #expect(server.drain() == "60000 bytes, numbered, FIN")
    try server.finishSending()
    #expect(client.drain() == "0 bytes, numbered, FIN")
    #expect(try pump.join().isDelivered && script.count(.pipe) == 0)
  }

  @Test("no descriptor for a pipe: the bytes are copied")
  func noPipe() throws {
    let script = Script(.every(.pipe, .fail(.tooManyOpenFiles)))
    expectWhole(try pump(script))
    #expect(script.count(.splice) == 0)
  }

  @Test("a pipe that may not grow, because the user has too much in pipes: it stays as it is")
  func mayNotGrow() throws {
    // The four sizes that are asked for. Other calls of fcntl are made too, and not scripted.
    let script = Script(lines: (1...4).map { .nth($0, .fcntl, .fail(.notPermitted)) })
    expectWhole(try pump(script))
    #expect(script.count(.splice) > 10)
  }

  @Test("a kernel that does not splice these sockets: the bytes are copied")
  func refused() throws {
    expectWhole(try pump(Script(.every(.splice, .fail(.invalidArgument)))))
  }

  @Test("short counts, and interruptions")
  func shortCounts() throws {
    expectWhole(
      try pump(
        Script(
          lines: (1...40).map { .nth($0 * 3, .splice, .limit(1000 + $0)) }
            + (1...10).map { .nth($0 * 7 + 1, .splice, .fail(.interrupted)) })))
  }

  @Test(
    "sockets that another holder makes blocking do not hold a pump beyond its limit", arguments: PumpPath.allCases)
  func madeBlocking(_ path: PumpPath) throws {
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let numbers = [near.ours.reference.core.number, far.ours.reference.core.number]
    let client = near.plain
    let server = far.plain
    let pump = RunningPump(path, near.ours, far.ours, PumpSetting(idle: .seconds(2)))
    try client.send(numbered(200_000))
    var count = 0
    while count < 200_000 { count += try server.receive(upTo: 1 << 18).count }
    for number in numbers { _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) & ~O_NONBLOCK) }
    try client.send(numbered(4))
    #expect(server.drain() == "4 bytes, numbered, RST")
    #expect(try pump.join().forward == PumpedStream(bytes: 200_004, ending: .timedOut(.idle)))
    #expect(client.drain() == "0 bytes, numbered, RST")
  }

  @Test("resets in the middle of a stream raise no SIGPIPE, which would end this process", arguments: 0..<10)
  func noSignal(_ round: Int) throws {
    let pumped = try Pumped(round % 2 == 0 ? .inThread : .inTask)
    let pump = pumped.pump
    let client = pumped.client.detach()
    let server = pumped.server
    let sender = onThread { () throws -> Bool in
      let socket = PlainSocket(adopting: client)
      do throws(RigError) { while true { try socket.send([UInt8](repeating: 7, count: 1 << 18)) } } catch {}
      return true
    }
    var count = 0
    while count < 300_000 + round * 200_000 { count += try server.receive(upTo: 1 << 18).count }
    server.abort()
    #expect(try sender.join())
    #expect(try pump.join().forward.ending == .undeliverable)
  }
}
