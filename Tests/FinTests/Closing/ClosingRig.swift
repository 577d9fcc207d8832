import Peers
import Synchronization
import SystemPackage
import Testing

@_spi(Fin) @testable import Fin

/// A Fin connection to a hand-made peer, in the peer's namespace.
func connection(to peer: RawPeer, timeouts: Timeouts = .default) throws -> Connection {
  let address = try SocketAddress(parsing: "\(RawPeer.peerAddress):7")
  return try peer.namespace.run { () throws -> Connection in try Connection.connect(to: address, timeouts: timeouts) }
}

/// A Fin connection, with a plain socket as its peer.
struct Loopback: ~Copyable {
  var ours: Connection
  var peer: PlainSocket

  /// - Parameter host: the address of both ends, in the calling thread's namespace.
  init(_ host: String = "127.0.0.1", timeouts: Timeouts = .default) throws {
    let listener = try PlainSocket.listening(on: host)
    let name = host.contains(":") ? "[\(host)]:\(listener.port)" : "\(host):\(listener.port)"
    let connection = try Connection.connect(to: try SocketAddress(parsing: name), timeouts: timeouts)
    peer = try listener.accept()
    ours = connection
  }
}

extension Core {
  /// The descriptor's number without entering the gate, for a test that knows the socket to be open.
  var number: CInt { record.descriptor }
}

extension SocketProtocol where Self: ~Copyable {
  /// The local port of this end.
  var port: UInt16 { localAddress?.port ?? 0 }
}

extension StreamSocketProtocol where Self: ~Copyable {
  /// Waits until the kernel has received this many bytes from the peer, read or not. The peer's FIN counts as one.
  borrowing func awaitReceived(_ bytes: UInt64) throws {
    let number = reference.core.number
    try eventually(within: .seconds(10), "bytes received", equals: bytes) {
      try TCPInfo.read(number).bytesReceived ?? 0
    }
  }

  /// Waits for a TCP state. Reading the state does not read the socket's error, which would clear it.
  borrowing func awaitState(_ state: TCPState) throws {
    let number = reference.core.number
    try eventually(within: .seconds(10), "the state", equals: state) { try TCPInfo.read(number).state }
  }

  /// Waits until this many of our bytes are unacknowledged.
  borrowing func awaitUnacknowledged(_ bytes: Int) throws {
    let core = reference.core
    try eventually(within: .seconds(10), "bytes not acknowledged", equals: bytes) { core.unacknowledged(.blocking) }
  }
}

/// The cause of the error that `body` threw; `nil` when it threw none.
func cause(_ body: () throws(SocketError) -> Void) -> SocketError.Cause? {
  do { try body() } catch { return error.cause }
  return nil
}

extension ClosePolicy {
  /// The four policies with short timeouts, for peers that use all of the time.
  static let brief: [ClosePolicy] = [
    .confirmed(within: .milliseconds(400)),
    .lingering(within: .milliseconds(400), idle: .milliseconds(100), discarding: 1 << 20),
    .background(orphanTimeout: .seconds(1)), .abort,
  ]
}

/// How much later than its timeout a report may arrive on a busy machine.
let slack = Duration.seconds(3)

/// Starts a thread that receives exactly `count` bytes. Returns when that thread has found no data and waits, or is
/// about to.
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
