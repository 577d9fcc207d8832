import Glibc
import Peers

@testable import Fin

/// A setting of the storms, from the environment.
func stormNumber(_ name: String, _ standard: Int) -> Int {
  guard let text = unsafe getenv(name) else { return standard }
  return unsafe Int(String(cString: text)) ?? standard
}

/// The layer over the streams of a storm: how both ends of a new stream get it, in a thread and in a task.
struct StormLayer: Sendable {
  let inThread: @Sendable (consuming ConnectionPair) throws -> ConnectionPair
  let inTask: @Sendable (consuming ConnectionPair) async throws -> ConnectionPair
}

extension StormLayer? {
  /// The number of streams: a handshake costs as much as many plain streams.
  var rounds: Int { stormNumber("FIN_STORM_ROUNDS", self == nil ? 10_000 : 500) }

  /// The causes with which an operation may fail, besides those that its caller names.
  var causes: [SocketError.Cause] { self == nil ? [] : [.truncated] }

  /// The endings that must occur: a storm in which nothing happens proves nothing.
  var endings: [String] {
    ["peer finished", "reset", "aborted", "background"] + (self == nil ? ["acknowledged"] : ["truncated"])
  }
}

/// The descriptors of this process, except the idle ones of the pools.
func stormCensus() throws -> [OpenDescriptor] {
  Waker.pool.releaseIdle()
  EdgeWatch.pool.releaseIdle()
  // The thread sanitizer opens pipes of its own.
  return try KernelView.lastingDescriptors().filter { !$0.target.hasPrefix("pipe:") }
}

/// Whether the received bytes are the sent ones: whole messages in some order, each once, the last possibly cut.
struct StormVerdict: CustomStringConvertible {
  var accepted = 0
  var received = 0
  var complaint: String?

  init(sent: [Message: Int], received bytes: [UInt8], stream: UInt64) {
    var missing = sent.filter { $0.value > 0 }
    accepted = missing.values.reduce(0, +)
    received = bytes.count
    var rest = bytes[...]
    while !rest.isEmpty {
      // The next message: the one that its header names, or one of those that were accepted only in part, whose header
      // may be incomplete. At the very end any message may be cut.
      let named = Message(header: rest).flatMap { missing[$0] == $0.length ? $0 : nil }
      let candidates =
        named.map { [$0] } ?? missing.filter { $0.value < $0.key.length || rest.count < 400_000 }.map(\.key)
      let match = candidates.first { message in
        let sent = message.bytes[..<missing[message]!]
        return rest.count < sent.count
          ? same(rest, sent[..<rest.count]) : same(rest[..<(rest.startIndex + sent.count)], sent)
      }
      guard let match, match.stream == stream else {
        complaint =
          "at byte \(bytes.count - rest.count) of \(bytes.count) are bytes that were never sent"
        return
      }
      rest = rest.dropFirst(missing.removeValue(forKey: match)!)
    }
  }

  var description: String { "\(received) of \(accepted) bytes arrived" }
}

/// Compares bytes. In a debug build a bytewise loop would take most of the storm's time.
private func same(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
  unsafe a.withUnsafeBytes { a in
    unsafe b.withUnsafeBytes { b in unsafe a.count == b.count && memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 }
  }
}
