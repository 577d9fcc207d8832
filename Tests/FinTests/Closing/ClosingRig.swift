import Peers
import Synchronization
import SystemPackage
import Testing

@testable import Fin

/// A connection of ours to a hand-made peer, in the peer's namespace.
func connection(to peer: RawPeer, timeouts: Timeouts = .default) throws -> Connection {
  let address = try SocketAddress(parsing: "\(RawPeer.peerAddress):7")
  return try peer.namespace.run { () throws -> Connection in try Connection.connect(to: address, timeouts: timeouts) }
}

/// A connection of ours and the stranger at its other end.
struct Loopback: ~Copyable {
  var ours: Connection
  var peer: PlainSocket

  /// - Parameter host: the address both are at, in the calling thread's namespace.
  init(_ host: String = "127.0.0.1", timeouts: Timeouts = .default) throws {
    let listener = try PlainSocket.listening(on: host)
    let name = host.contains(":") ? "[\(host)]:\(listener.port)" : "\(host):\(listener.port)"
    let connection = try Connection.connect(to: try SocketAddress(parsing: name), timeouts: timeouts)
    peer = try listener.accept()
    ours = connection
  }
}

extension Core {
  /// The number without its gate, for a test that knows the socket open.
  var number: CInt { record.descriptor }
}

extension SocketEnd where Self: ~Copyable {
  /// The port of this end.
  var port: UInt16 { localAddress?.port ?? 0 }
}

extension StreamEnd where Self: ~Copyable {
  /// Awaits that the kernel has so many bytes of the peer, read or not, its FIN counted as one.
  borrowing func awaitReceived(_ bytes: UInt64) throws {
    let number = reference.core.number
    try eventually(within: .seconds(10), "bytes received", equals: bytes) {
      try TCPInfo.read(number).bytesReceived ?? 0
    }
  }

  /// Awaits a state of the kernel's; the state does not ask for the error, which asking would clear.
  borrowing func awaitState(_ state: TCPState) throws {
    let number = reference.core.number
    try eventually(within: .seconds(10), "the state", equals: state) { try TCPInfo.read(number).state }
  }

  /// Awaits that so many bytes of ours are not acknowledged.
  borrowing func awaitUnacknowledged(_ bytes: Int) throws {
    let core = reference.core
    try eventually(within: .seconds(10), "bytes not acknowledged", equals: bytes) { core.unacknowledged(.thread) }
  }
}

/// What a call threw as its cause; `nil` when it threw nothing.
func cause(_ body: () throws(SocketError) -> Void) -> SocketError.Cause? {
  do { try body() } catch { return error.cause }
  return nil
}

extension ClosePolicy {
  /// The four policies with little time: for peers that use all of it.
  static let brief: [ClosePolicy] = [
    .confirmed(within: .milliseconds(400)),
    .lingering(within: .milliseconds(400), idle: .milliseconds(100), discarding: 1 << 20),
    .background(orphanTimeout: .seconds(1)), .abort,
  ]
}

/// How much later than its time a report may come where the machine has other things to do.
let slack = Duration.seconds(3)

/// A thread that receives exactly `count` bytes; returns when it has found nothing and is about to wait, or waits.
func waitingReceiver(_ connection: SharedConnection, _ count: Int) throws -> Joining<SocketError.Cause?> {
  let waits = Flag()
  let thread = onThread { () -> SocketError.Cause? in
    Seam.$script.withValue(Script(.first(.poll, .before { waits.set() }))) {
      cause { () throws(SocketError) in _ = try connection.receive(exactly: count) }
    }
  }
  try eventually("a receiver waits") { waits.isSet }
  return thread
}
