import Glibc
import Peers
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A pump: bytes, limits, and what is left when a side dies", .onThreads, .timeLimit(.minutes(30)))
struct PumpBehaviour {
  @Test("bytes that buffered reading holds go first", arguments: PumpPath.allCases)
  func buffered(_ path: PumpPath) throws {
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    try near.plain.send(Array("GET /\nthe rest".utf8))
    #expect(try near.ours.receiveLine() == "GET /")
    #expect(near.ours.reference.core.buffered == 8)
    let client = near.plain
    let server = far.plain
    let pump = RunningPump(path, near.ours, far.ours)
    try client.send(Array(", and more".utf8))
    try client.finishSending()
    #expect(String(decoding: try server.receiveAll(), as: UTF8.self) == "the rest, and more")
    try server.finishSending()
    #expect(try client.receiveAll() == [])
    #expect(try pump.join().forward == PumpedStream(bytes: 18, ending: .finished))
  }

  // MARK: Time

  @Test("silence ends a pump by its limit, and both sides are reset", arguments: PumpPath.allCases)
  func idle(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(idle: .milliseconds(200)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    #expect(client.drain() == "0 bytes, numbered, RST")
    #expect(server.drain() == "0 bytes, numbered, RST")
    let report = try pump.join()
    #expect(report.forward.ending == .timedOut(.idle) && report.backward.ending == .timedOut(.idle))
    #expect(report.first.ending == .aborted && report.second.ending == .aborted)
  }

  @Test("a half-closed pump has a limit of its own, and bytes begin it anew", arguments: PumpPath.allCases)
  func halfClosed(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(halfClosed: .seconds(2)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    try client.finishSending()
    #expect(server.drain() == "0 bytes, numbered, FIN")
    let numbers = [client.descriptor, server.descriptor]
    for byte in UInt8(0)..<4 {
      try steadily(for: .milliseconds(800), "an end", equals: false) { numbers.contains(where: isOver) }
      try server.send([byte])
      #expect(try client.receive() == [byte])
    }
    #expect(client.drain() == "0 bytes, numbered, RST")
    let report = try pump.join()
    #expect(report.forward == PumpedStream(bytes: 0, ending: .finished))
    #expect(report.backward == PumpedStream(bytes: 4, ending: .timedOut(.halfClosed)))
  }

  private func isOver(_ number: CInt) -> Bool {
    var set = pollfd(fd: number, events: 0, revents: 0)
    return unsafe poll(&set, 1, 0) > 0
  }

  @Test("the time in all ends a pump whose bytes never stop", arguments: PumpPath.allCases)
  func whole(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(within: .milliseconds(400)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    let reader = onThread(taking: server) { server in server.drain().hasSuffix("RST") }
    #expect(throws: RigError.self) { while true { try client.send([UInt8](repeating: 7, count: 1 << 16)) } }
    #expect(try reader.join())
    #expect(try pump.join().forward.ending == .timedOut(.whole))
  }

  @Test("a slow reader is waited for as long as it reads, and gets every byte", arguments: PumpPath.allCases)
  func slowReader(_ path: PumpPath) throws {
    let setting = PumpSetting(idle: .seconds(1), halfClosed: .seconds(1))
    let pumped = try Pumped(path, setting)
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    let sender = onThread(taking: server) { server throws in
      try server.send(numbered(1_500_000))
      try server.finishSending()
      return server.drain()
    }
    try client.finishSending()
    var bytes: [UInt8] = []
    // The rest waits at the pump.
    client.setOption(SOL_SOCKET, SO_RCVBUF, 32 << 10)
    while bytes.count < 1_500_000 {
      bytes += try client.receive(upTo: 200_000)
      // Longer in all than the limit, and never as long at once.
      guard bytes.count < 1_400_000 else { continue }
      try steadily(for: .milliseconds(100), "the pump's end", equals: false) { pump.isFinished() }
    }
    #expect(bytes == numbered(1_500_000))
    #expect(try client.receive() == [])
    #expect(try sender.join() == "0 bytes, numbered, FIN")
    #expect(try pump.join().isDelivered)
  }

  @Test("a peer that never reads: the limit ends it, and the report has the bytes", arguments: PumpPath.allCases)
  func deadPeer(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(idle: .milliseconds(500)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    #expect(throws: RigError.self) { while true { try client.send([UInt8](repeating: 7, count: 1 << 16)) } }
    let report = try pump.join()
    #expect(report.forward.ending == .timedOut(.idle), "\(report)")
    #expect(report.second.bytesUnacknowledged > 0 && report.forward.bytesLost > 0, "\(report)")
    #expect(server.drain().hasSuffix("RST"))
  }

  // MARK: A reset, and what came before it

  @Test("before a reset, everything is delivered, also to a reader that begins late", arguments: PumpPath.allCases)
  func deliveredFirst(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(delivering: .seconds(60)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    let sent = try Self.fill(client, until: pump.meter, wanted: 12_000_000)
    client.abort()
    // The peer does not read, so that the reset has to wait.
    let number = server.descriptor
    try steadily(for: .milliseconds(300), "an end at the server", equals: false) { isOver(number) }
    let seen = server.drain()
    let report = try pump.join()
    #expect(seen == "\(report.forward.bytes) bytes, numbered, RST", "\(sent) bytes were sent")
    #expect(report.forward.ending == .reset && report.forward.bytesLost == 0 && report.forward.bytes > 1_000_000)
    #expect(report.second.bytesUnacknowledged == 0, "\(report.second)")
  }

  @Test("a reset waits for its time only, and the report says what was not delivered", arguments: PumpPath.allCases)
  func undelivered(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(delivering: .milliseconds(300)))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    _ = try Self.fill(client, until: pump.meter, wanted: 12_000_000)
    client.abort()
    let report = try pump.join()
    #expect(report.forward.ending == .reset && report.second.bytesUnacknowledged > 0, "\(report)")
    #expect(server.drain().hasSuffix("RST"))
  }

  /// Sends numbered bytes until nothing more moves, and waits until the sender's kernel has handed over all of them.
  private static func fill(_ client: borrowing PlainSocket, until meter: PumpMeter, wanted: Int) throws -> Int {
    let bytes = numbered(wanted)
    var sent = 0
    var stalls = 0
    while sent < wanted, stalls < 3 {
      let count = unsafe bytes[sent...].withUnsafeBytes {
        unsafe Glibc.send(client.descriptor, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
      }
      sent += max(0, count)
      let before = meter.bytesForward
      try? eventually(within: .milliseconds(100), "more") { meter.bytesForward != before }
      stalls = count > 0 || meter.bytesForward != before ? 0 : stalls + 1
    }
    return sent
  }

  @Test("bytes in the pipe are counted when the destination dies", arguments: PumpPath.allCases)
  func lostInThePipe(_ path: PumpPath) throws {
    let pumped = try Pumped(path)
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    _ = try Self.fill(client, until: pump.meter, wanted: 12_000_000)
    server.abort()
    let report = try pump.join()
    #expect(report.forward.ending == .undeliverable && report.forward.bytesLost > 0, "\(report)")
    #expect(report.forward.bytesLost <= SplicePipe.wanted && report.forward.bytes == pump.meter.bytesForward)
    #expect(client.drain().hasSuffix("RST"))
  }

  @Test("a peer that has finished, and resets while bytes for it are in the pipe, raises no SIGPIPE")
  func noSignal() async {
    await #expect(processExitsWith: .success) {
      for path in PumpPath.allCases { try synchronously { try PumpBehaviour.resetAfterItsEnd(path) } }
    }
  }

  /// Has a server finish, stop reading until the pipe holds bytes for it, and reset.
  private static func resetAfterItsEnd(_ path: PumpPath) throws {
    let pumped = try Pumped(path, PumpSetting(takesSignals: true))
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    try server.finishSending()
    guard try client.receive() == [] else { throw RigError("no end at the client") }
    _ = try fill(client, until: pump.meter, wanted: 12_000_000)
    // After its FIN, a reset is EPIPE: the signal comes with it.
    server.abort()
    let report = try pump.join()
    guard report.forward.ending == .undeliverable, report.forward.bytesLost > 0 else { throw RigError("\(report)") }
  }

  // MARK: Ended from elsewhere

  @Test("a cancelled task resets both sides")
  func cancelled() throws {
    let pumped = try Pumped(.inTask)
    let client = pumped.client
    let server = pumped.server
    let pump = pumped.pump
    try client.send([1])
    #expect(try server.receive() == [1])
    pump.cancel()
    #expect(client.drain() == "0 bytes, numbered, RST")
    #expect(server.drain() == "0 bytes, numbered, RST")
    let report = try pump.join()
    #expect(report.forward == PumpedStream(bytes: 1, ending: .closed) && report.backward.ending == .closed)
  }

  @Test("a close of one side from elsewhere wakes the pump, which resets the other", arguments: PumpPath.allCases)
  func closedElsewhere(_ path: PumpPath) throws {
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let core = far.ours.reference.core
    core.share()
    let client = near.plain
    let server = far.plain
    let pump = RunningPump(path, near.ours, far.ours)
    try client.send([1])
    #expect(try server.receive() == [1])
    let closer = onThread { core.close(.abort) }
    #expect(client.drain() == "0 bytes, numbered, RST")
    #expect(server.drain() == "0 bytes, numbered, RST")
    #expect(try pump.join().forward.ending == .closed)
    #expect(try closer.join().ending == .aborted)
  }

  @Test("a connection that is in use elsewhere is not pumped: both are reset")
  func busy() throws {
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let core = near.ours.reference.core
    try core.gate.enterReading()
    let client = near.plain
    let server = far.plain
    let pump = RunningPump(.inThread, near.ours, far.ours)
    try eventually("the close of the first") { core.gate.isClosing }
    core.leave(.reading)
    #expect(server.drain() == "0 bytes, numbered, RST")
    #expect(client.drain() == "0 bytes, numbered, RST")
    #expect(try pump.join().forward == PumpedStream(bytes: 0, ending: .closed))
  }

  // MARK: The cost of waiting

  @Test("a stalled pump, also one with an end that stands, is not busy")
  func notBusy() throws {
    let script = Script()
    let near = try Stranger.over(.ipv4)
    let far = try Stranger.over(.ipv4)
    let client = near.plain
    let server = far.plain
    let shelves = [near.ours.detaching(), far.ours.detaching()]
    let meter = PumpMeter()
    let pump = onThread { () throws -> PumpReport in
      try scripted(script) { Connection.pump(shelves[0].take(), shelves[1].take(), meter: meter) }
    }
    // The server finishes, so that an end stands at one side, and reads nothing, so that the other side stalls.
    try server.finishSending()
    #expect(try client.receive() == [])
    _ = try Self.fill(client, until: meter, wanted: 30_000_000)
    func calls() -> Int { SystemCall.all.reduce(0) { $0 + script.count($1) } }
    let before = calls()
    try steadily(for: .milliseconds(400), "the pump's end", equals: false) { pump.isFinished }
    // A busy loop makes thousands. On a busy machine, the kernel may still move some bytes.
    let more = calls() - before
    #expect(more < 50, "\(more) system calls")
    server.abort()
    #expect(try pump.join().forward.ending == .undeliverable)
  }
}

extension SystemCall {
  fileprivate static var all: [SystemCall] { [.recv, .send, .splice, .poll, .getsockopt, .ioctl, .fcntl] }
}
