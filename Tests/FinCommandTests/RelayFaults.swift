import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin relay: killed in the middle, peers that stop, and peers that are slow", .onThreads, .timeLimit(.minutes(30)))
struct RelayFaults {
  /// The bytes that the target's side of the relay has been handed, as the kernel counts them: those unread at the
  /// target, and those that it has not acknowledged. The target reads nothing meanwhile.
  private static func handedOver(to port: UInt16) throws -> Int {
    let waiting = try KernelView.tcp(localPort: port).reduce(0) { $0 + ($1.state == .listen ? 0 : $1.receiveQueue) }
    let queued = try KernelView.tcp(localPort: nil, remotePort: port).reduce(0) { $0 + $1.transmitQueue }
    return waiting + queued
  }

  /// Sends numbered bytes to a target that does not read, until nothing moves any more: also not into the relay.
  ///
  /// - Returns: the bytes that the relay has handed over.
  private static func fill(_ client: borrowing PlainSocket, target: UInt16) throws -> Int {
    client.setOption(SOL_SOCKET, SO_SNDBUF, 64 << 10)
    // More than the relay's kernel buffers of the client and of the target grow to together.
    let bytes = numbered(64_000_000)
    var sent = 0
    var last = -1
    while last < 0 {
      var count = put(bytes[sent...], client)
      while count > 0 {
        sent += count
        count = put(bytes[sent...], client)
      }
      guard sent < bytes.count else { throw RigError("the kernel's buffers take everything") }
      let (seen, queued) = (try handedOver(to: target), client.outgoingQueue)
      // Quiet for a while, and full: what moves later finds room in no buffer.
      let isQuiet =
        (try? steadily(for: .milliseconds(400), "the queues", equals: [seen, queued]) {
          [try handedOver(to: target), client.outgoingQueue]
        }) != nil
      if isQuiet, queued > 0 { last = seen }
    }
    return last
  }

  /// Sends what the kernel takes at once.
  private static func put(_ bytes: ArraySlice<UInt8>, _ client: borrowing PlainSocket) -> Int {
    unsafe bytes.prefix(1 << 20).withUnsafeBytes {
      unsafe Glibc.send(client.descriptor, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
    }
  }

  /// `1,234,567`
  private static func grouped(_ number: Int) -> String {
    var text = ""
    for (index, digit) in "\(number)".reversed().enumerated() {
      if index > 0, index % 3 == 0 { text = "," + text }
      text = "\(digit)" + text
    }
    return text
  }

  /// A connection through the relay whose server takes little.
  private static func pair(_ relay: borrowing Relaying) throws -> RelayedPair {
    let pair = try relay.pair()
    pair.server.setOption(SOL_SOCKET, SO_RCVBUF, 32 << 10)
    return pair
  }

  @Test("kill -9 with bytes on their way: the server gets all that was handed over and a FIN, the client a reset")
  func killedWhileFull() throws {
    let relay = try Relaying()
    let pair = try Self.pair(relay)
    let handedOver = try Self.fill(pair.client, target: relay.target.port)
    relay.child.signal(SIGKILL)
    #expect(try relay.child.wait() == .signalled(SIGKILL))
    // Its kernel closed both sockets: one with unread bytes, the other with bytes to deliver.
    #expect(pair.client.awaitEnd() == ECONNRESET)
    #expect(handedOver > 100_000 && pair.server.drain() == "\(handedOver) bytes, numbered, FIN")
  }

  @Test("what a relay counts is what the kernel was handed over, also when its time is over in the middle")
  func counted() throws {
    let relay = try Relaying("--grace", "1ms")
    let pair = try Self.pair(relay)
    let handedOver = try Self.fill(pair.client, target: relay.target.port)
    let (status, lines) = try relay.stop()
    #expect(status == .exited(1))
    let text = Self.grouped(handedOver)
    #expect(
      lines.first?.contains(": reset (the relay stopped); \(text) bytes there, 0 back") == true, "\(text): \(lines)")
    #expect(pair.client.awaitEnd() == ECONNRESET && pair.server.awaitEnd() == ECONNRESET)
  }

  @Test("kill -9 with nothing on its way: both sides read what was sent, and an end of file")
  func killedWhileIdle() throws {
    let relay = try Relaying()
    let pair = try relay.pair()
    try pair.client.send(numbered(3000))
    try pair.server.send(numbered(5000))
    try pair.client.awaitUnread(5000)
    try pair.server.awaitUnread(3000)
    relay.child.signal(SIGKILL)
    #expect(pair.client.drain() == "5000 bytes, numbered, FIN")
    #expect(pair.server.drain() == "3000 bytes, numbered, FIN")
  }

  @Test("kill -9 after a half-close: the answer up to there, and an end of file")
  func killedHalfClosed() throws {
    let relay = try Relaying()
    let pair = try relay.pair()
    try pair.client.send(numbered(100))
    try pair.client.finishSending()
    #expect(pair.server.drain() == "100 bytes, numbered, FIN")
    try pair.server.send(numbered(70_000))
    try pair.client.awaitUnread(70_000)
    relay.child.signal(SIGKILL)
    #expect(pair.client.drain() == "70000 bytes, numbered, FIN")
    // The relay's socket is gone: the server's next bytes are answered with a reset.
    try pair.server.send([1])
    try pair.server.awaitState(.closed)
    #expect(pair.server.failureOfSend() == "RST" || pair.server.failureOfSend() == "EPIPE")
  }

  @Test("a server that stops reading: --idle resets both sides, and the line has the bytes")
  func deadServer() throws {
    let relay = try Relaying("--idle", "1s")
    let pair = try Self.pair(relay)
    let client = pair.client
    let server = pair.server
    #expect(throws: RigError.self) {
      while true { try client.send([UInt8](repeating: 7, count: 1 << 16)) }
    }
    let line = try relay.line()
    #expect(line.contains(": timed out (no byte moved); ") && !line.contains("; 0 bytes there"), "\(line)")
    #expect(server.awaitEnd() == ECONNRESET)
  }

  @Test("a slow reader gets every byte, although it takes longer in all than --idle")
  func slowReader() throws {
    let relay = try Relaying("--idle", "1s", "--half-closed", "1s")
    let pair = try relay.pair()
    let client = pair.client
    let server = pair.server
    client.setOption(SOL_SOCKET, SO_RCVBUF, 32 << 10)
    let sender = onThread(taking: server) { server throws in
      try server.send(numbered(1_500_000))
      try server.finishSending()
      return server.drain()
    }
    try client.finishSending()
    var bytes: [UInt8] = []
    let number = client.descriptor
    while bytes.count < 1_500_000 {
      bytes += try client.receive(upTo: 100_000)
      guard bytes.count < 1_400_000 else { continue }
      try steadily(for: .milliseconds(100), "an end at the client", equals: false) {
        // Errors and a hang-up, and nothing else.
        var set = pollfd(fd: number, events: 0, revents: 0)
        return unsafe poll(&set, 1, 0) > 0
      }
    }
    #expect(bytes == numbered(1_500_000) && client.awaitEnd() == 0)
    #expect(try sender.join() == "0 bytes, numbered, FIN")
    #expect(try relay.line().contains(": both finished; 0 bytes there, 1,500,000 back"))
  }
}
