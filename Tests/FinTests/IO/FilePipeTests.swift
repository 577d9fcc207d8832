import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A verb of a connection that runs beside the test, with scripted system calls.
private struct RunningVerb {
  let join: @Sendable () throws -> Int
  let cancel: @Sendable () -> Void
  let isFinished: @Sendable () -> Bool

  /// Starts a verb in a thread or in a task.
  init(
    _ world: FileWorld, _ script: Script, _ inThread: @escaping @Sendable () throws -> Int,
    _ inTask: @escaping @Sendable () async throws -> Int
  ) {
    switch world {
    case .thread:
      let thread = onThread { try scripted(script) { try inThread() } }
      join = { try thread.join(within: .seconds(60)) }
      cancel = {}
      isFinished = { thread.isFinished }
    case .task:
      let task = errand { try await Seam.$script.withValue(script) { try await inTask() } }
      join = { try task.join() }
      cancel = { task.cancel() }
      isFinished = { task.isFinished }
    }
  }

  /// Waits until the verb has looked at its file, and then for a while in which it must not look much more.
  func expectQuiet(_ script: Script) throws {
    try eventually("a look at the pipe") { script.count(.poll) > 0 }
    // The wait itself may be one more call.
    try steadily(for: .milliseconds(50), "the end of the call", equals: false) { isFinished() }
    let before = script.count(.poll)
    try steadily(for: .milliseconds(300), "the end of the call", equals: false) { isFinished() }
    #expect(script.count(.poll) - before <= 1, "\(script.count(.poll) - before) looks in 300 ms")
  }
}

/// A pipe without bytes, and a send of it that waits for them.
private struct StalledSend: ~Copyable {
  /// The time of the send, far beyond what a close needs.
  static let patience = Duration.seconds(60)

  let script: Script
  let pipe: (readEnd: FileDescriptor, writeEnd: FileDescriptor)
  let ours: SharedConnection
  let peer: PlainSocket
  let send: RunningVerb

  static func begin(_ world: FileWorld) throws -> StalledSend {
    let script = Script()
    let pipe = try FileDescriptor.pipe()
    let pair = try Loopback()
    let ours = pair.ours.share()
    let send = RunningVerb(world, script) {
      try ours.sendFile(pipe.readEnd, within: Timeout(patience))
    } _: {
      try await ours.sendFile(pipe.readEnd, within: Timeout(patience))
    }
    try send.expectQuiet(script)
    return StalledSend(script: script, pipe: pipe, ours: ours, peer: pair.peer, send: send)
  }
}

@Suite(
  "A pipe that is not ready is waited for: not asked again and again, and not past a close", .onThreads,
  .timeLimit(.minutes(30)))
struct FilePipeTests {
  @Test("an empty pipe: the send waits, and goes on with each part of what comes", arguments: FileWorld.allCases)
  func empty(_ world: FileWorld) throws {
    let stalled = try StalledSend.begin(world)
    for part in ["one ", "two ", "three"] {
      _ = try stalled.pipe.writeEnd.writeAll(part.utf8)
      #expect(String(decoding: try stalled.peer.receive(), as: UTF8.self) == part)
    }
    try stalled.send.expectQuiet(stalled.script)
    try stalled.pipe.writeEnd.close()
    #expect(try stalled.send.join() == 13)
    try stalled.pipe.readEnd.close()
    let ours = stalled.ours
    synchronously { _ = ours.abort() }
  }

  @Test("a full pipe: the receive waits, and goes on when the reader has made room", arguments: FileWorld.allCases)
  func full(_ world: FileWorld) throws {
    let script = Script()
    let pipe = try FileDescriptor.pipe()
    let bytes = filePattern(300_000)
    let pair = try Loopback()
    let ours = pair.ours.share()
    let sender = onThread(taking: pair.peer) { peer in
      try peer.send(bytes)
      return true
    }
    let receive = RunningVerb(world, script) {
      try ours.receive(to: pipe.writeEnd, within: .seconds(60))
    } _: {
      try await ours.receive(to: pipe.writeEnd, within: .seconds(60))
    }
    let number = pipe.writeEnd.rawValue
    try eventually("a full pipe") {
      var set = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
      return unsafe poll(&set, 1, 0) == 0
    }
    try receive.expectQuiet(script)
    var got: [UInt8] = []
    while got.count < bytes.count {
      var room = [UInt8](repeating: 0, count: 1 << 16)
      let count = try unsafe room.withUnsafeMutableBytes { try unsafe pipe.readEnd.read(into: $0) }
      got += room[..<count]
    }
    #expect(try receive.join() == bytes.count && got == bytes)
    _ = try sender.join()
    try pipe.readEnd.close()
    try pipe.writeEnd.close()
    synchronously { _ = ours.close() }
  }

  @Test("a close and a cancellation end the wait for an empty pipe at once", arguments: FileWorld.allCases)
  func ended(_ world: FileWorld) throws {
    for isCancelled in world == .task ? [false, true] : [false] {
      let stalled = try StalledSend.begin(world)
      let (ours, send) = (stalled.ours, stalled.send)
      let began = ContinuousClock.now
      if isCancelled { send.cancel() } else { synchronously { _ = ours.abort() } }
      let error = #expect(throws: SocketError.self) { _ = try send.join() }
      // The close waits for the operation: without a wake it would last as long as the send.
      #expect(ContinuousClock.now - began < StalledSend.patience / 2)
      #expect(error?.cause == (isCancelled ? .cancelled : .closed))
      synchronously { _ = ours.abort() }
      try stalled.pipe.readEnd.close()
      try stalled.pipe.writeEnd.close()
      #expect(stalled.peer.descriptor >= 0, "open until here")
    }
  }

  @Test("two tasks of one event loop wait for the same pipe: each byte is sent once")
  func shared() throws {
    let reactor = try Reactor(loops: 1)
    let pipe = try FileDescriptor.pipe()
    let one = try Loopback()
    let other = try Loopback()
    let ours = [one.ours.share(), other.ours.share()]
    let readers = [
      onThread(taking: one.peer) { try $0.receiveAll() }, onThread(taking: other.peer) { try $0.receiveAll() },
    ]
    let scripts = [Script(), Script()]
    let sends = ours.indices.map { index in
      let (connection, script) = (ours[index], scripts[index])
      return errand(on: reactor.executor) {
        let sent = try await Seam.$script.withValue(script) {
          try await connection.sendFile(pipe.readEnd, within: .seconds(60))
        }
        try await connection.finishSending()
        return sent
      }
    }
    for script in scripts { try eventually("a look at the pipe") { script.count(.poll) > 0 } }
    for number in 0..<200 { _ = try pipe.writeEnd.writeAll("\(1000 + number)".utf8) }
    try pipe.writeEnd.close()
    let sent = try sends.map { try $0.join() }
    let got = try readers.map { try $0.join() }
    #expect(sent == got.map(\.count) && sent.reduce(0, +) == 800, "\(sent)")
    try pipe.readEnd.close()
    synchronously { for connection in ours { _ = connection.abort() } }
    withExtendedLifetime(reactor) {}
  }
}
