import CPeers
import Glibc

/// A scene between a client and a server that may have a relay between them: what each of the two sees, in words.
///
/// A scene is played over a direct connection and through a relay, and what is seen has to be the same. So the
/// expectation is the kernel's.
public struct RelayScene: Sendable, CustomStringConvertible {
  public let description: String
  private let body: @Sendable (consuming PlainSocket, consuming PlainSocket) throws -> [String]

  init(
    _ description: String, _ body: @escaping @Sendable (consuming PlainSocket, consuming PlainSocket) throws -> [String]
  ) {
    self.description = description
    self.body = body
  }

  /// Plays the scene.
  ///
  /// - Returns: the observations, in order.
  public func play(_ client: consuming PlainSocket, _ server: consuming PlainSocket) throws -> [String] {
    try body(client, server)
  }

  /// The scenes over TCP.
  public static let all = [
    halfClose, lateAnswer, serverResets, clientResets, closedWithDataUnread, sendingToAClientThatReset,
    serverHalfCloses, resetAfterHalfClose, closedWhileSending, bothSendAndFinish, nothingAtAll, resetWithoutAByte,
  ]

  /// The scenes without a reset, which a Unix socket lacks.
  public static let withoutReset = [halfClose, lateAnswer, serverHalfCloses, bothSendAndFinish, nothingAtAll]

  public static let halfClose = RelayScene("a half-close, then an answer of 1 MB") { client, server in
    try client.send(numbered(100))
    try client.finishSending()
    let question = server.drain()
    let answer = onThread(taking: client) { client in client.drain() }
    try server.send(numbered(1_000_000))
    try server.finishSending()
    return [question, try answer.join()]
  }

  public static let lateAnswer = RelayScene("an answer 6 s after the FIN") { client, server in
    try client.finishSending()
    let question = server.drain()
    let number = client.descriptor
    try steadily(for: .seconds(6), "bytes at the client", equals: false) { isReadable(number) }
    try server.send(Array("late".utf8))
    try server.finishSending()
    return [question, client.drain()]
  }

  public static let serverResets = RelayScene("the server resets after 10,000 bytes") { client, server in
    try server.send(numbered(10_000))
    try client.awaitUnread(10_000)
    server.abort()
    return [client.drain()]
  }

  public static let clientResets = RelayScene("the client resets after 10,000 bytes") { client, server in
    try client.send(numbered(10_000))
    try server.awaitUnread(10_000)
    client.abort()
    return [server.drain()]
  }

  public static let closedWithDataUnread = RelayScene("the server closes with data unread") { client, server in
    try client.send(numbered(10_000))
    try server.awaitUnread(10_000)
    try server.send(Array("no\n".utf8))
    server.close()
    return [client.drain()]
  }

  public static let sendingToAClientThatReset = RelayScene("sending to a client that reset") { client, server in
    client.abort()
    try server.awaitState(.closed)
    return [server.failureOfSend(), server.failureOfSend()]
  }

  public static let serverHalfCloses = RelayScene("the server finishes first, and the client goes on") {
    client, server in
    try server.send(Array("hello\n".utf8))
    try server.finishSending()
    let greeting = client.drain()
    let upload = onThread(taking: server) { server in server.drain() }
    try client.send(numbered(500_000))
    try client.finishSending()
    return [greeting, try upload.join()]
  }

  public static let resetAfterHalfClose = RelayScene("a reset after a half-close") { client, server in
    try client.send(numbered(100))
    try client.finishSending()
    let question = server.drain()
    client.abort()
    try server.awaitState(.closed)
    return [question, server.failureOfSend(), server.drain()]
  }

  public static let closedWhileSending = RelayScene("the client closes, and the server sends on") { client, server in
    client.close()
    let end = server.drain()
    try server.send([1])
    try server.awaitState(.closed)
    return [end, server.failureOfSend()]
  }

  public static let bothSendAndFinish = RelayScene("both send 3 MB at once, and finish") { client, server in
    try exchange(client, server, 3_000_000)
  }

  /// Both send this many numbered bytes at once, and finish.
  ///
  /// - Returns: what each of them sees.
  public static func exchange(
    _ client: consuming PlainSocket, _ server: consuming PlainSocket, _ count: Int
  ) throws -> [String] {
    let sides = [client.detach(), server.detach()]
    defer { for side in sides { Glibc.close(side) } }
    func copies() -> [CInt] { sides.map { fcntl($0, F_DUPFD_CLOEXEC, 0) } }
    let readers = copies().map { copy in onThread { PlainSocket(adopting: copy).drain() } }
    let senders = copies().map { copy in
      onThread { () throws -> Bool in
        let socket = PlainSocket(adopting: copy)
        try socket.send(numbered(count))
        try socket.finishSending()
        return true
      }
    }
    for sender in senders { _ = try sender.join() }
    return try readers.map { try $0.join() }
  }

  public static let nothingAtAll = RelayScene("both finish without a byte") { client, server in
    try client.finishSending()
    let first = server.drain()
    try server.finishSending()
    return [first, client.drain()]
  }

  public static let resetWithoutAByte = RelayScene("the server resets without a byte") { client, server in
    server.abort()
    try client.awaitState(.closed)
    return [client.drain(), client.failureOfSend()]
  }
}

/// This many bytes, each four of which give their position.
public func numbered(_ count: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: (count + 3) / 4 * 4)
  unsafe bytes.withUnsafeMutableBytes { bytes in
    let numbers = unsafe bytes.assumingMemoryBound(to: UInt32.self)
    if let first = numbers.baseAddress { unsafe peers_number(first, UInt(numbers.count)) }
  }
  bytes.removeLast(bytes.count - count)
  return bytes
}

private func isReadable(_ number: CInt) -> Bool {
  var set = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
  return unsafe poll(&set, 1, 0) > 0
}

extension PlainSocket {
  /// Receives until the end: the number of bytes, whether they are the numbered ones, and the end.
  public func drain() -> String {
    var bytes: [UInt8] = []
    var end: String?
    // A busy machine may take longer than one receive waits.
    var waits = 0
    while end == nil {
      do throws(RigError) {
        let more = try receive(upTo: 1 << 18)
        if more.isEmpty { end = "FIN" }
        bytes += more
      } catch {
        waits += 1
        if error.code != EAGAIN || waits == 12 { end = Self.name(error) }
      }
    }
    let isWhole = bytes == numbered(bytes.count) ? "numbered" : bytes.count < 16 ? "\(bytes)" : "garbled"
    return "\(bytes.count) bytes, \(isWhole), \(end ?? "")"
  }

  /// The error of a send of one byte.
  public func failureOfSend() -> String {
    do throws(RigError) {
      try send([1])
      return "accepted"
    } catch { return Self.name(error) }
  }

  private static func name(_ error: RigError) -> String {
    switch error.code {
    case ECONNRESET: "RST"
    case EPIPE: "EPIPE"
    case EAGAIN: "nothing"
    default: "\(error)"
    }
  }

  /// Waits until this many bytes have arrived and are unread.
  public func awaitUnread(_ count: Int) throws {
    let number = descriptor
    try eventually("unread bytes", equals: count) {
      var bytes: CInt = 0
      return unsafe peers_incoming_queue(number, &bytes) == 0 ? Int(bytes) : -1
    }
  }

  /// Waits for a TCP state.
  public func awaitState(_ wanted: KernelState) throws {
    try eventually("the state", equals: wanted) { state }
  }
}
