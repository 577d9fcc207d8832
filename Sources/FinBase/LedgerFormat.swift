/// The form in which a program publishes its open sockets: a file in memory with one record for each socket. Other
/// processes find it under `/proc/PID/fd` by its name. `Fin` writes it, and `FinDoctor` reads it.
///
/// All numbers are in the machine's byte order. The file begins with a header that is as long as a record:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | `fin-ldgr` |
/// | 8–11, 12–15 | version, 1; length of the header |
/// | 16–19, 20–23 | length of a record; the process id, as the process itself sees it |
/// | 24–31 | number of records that the file has room for |
/// | 32–39 | number of records used so far; all records after them are zero |
/// | 40–47 | number of sockets that found no room |
///
/// The records follow. The fields of a record have a meaning only while its cookie is not 0:
///
/// | bytes | |
/// | --- | --- |
/// | 0–7 | sequence number (seqlock): two more after each change, odd during a change |
/// | 8–15 | the socket's cookie |
/// | 16–19, 20–23 | the lower half of its number in the ledger; its descriptor |
/// | 24–31 | time of its opening: nanoseconds of `CLOCK_MONOTONIC`, as are all times below |
/// | 32–39, 40–47 | deadline of the present wait for input, for output: see ``noWait`` and ``noDeadline`` |
/// | 48–55 | time until which the declared intent holds |
/// | 56–59 | line that opened it |
/// | 60, 61, 62 | ``Kind``; ``Phase``; ``Intent`` |
/// | 63, 64–127 | length of the file's name; the name |
///
/// A reader has to read a record twice. The record is consistent if both copies are equal and their sequence number
/// is even.
@usableFromInline
package enum LedgerFormat {
  /// The name of the file in memory.
  package static let name: StaticString = "fin-ledger"
  /// The first eight bytes of the file.
  package static let magic: StaticString = "fin-ldgr"
  /// A later version may append fields to a record and to the header, and change nothing else.
  @inlinable package static var version: UInt32 { 1 }
  /// The length of a record of this version, and of the header.
  @inlinable package static var recordSize: Int { 128 }
  /// The most records: as many as the usual hard limit of descriptors.
  @inlinable package static var mostRecords: Int { 1 << 20 }
  /// The most bytes of a file's name.
  @inlinable package static var nameLength: Int { 64 }

  /// The deadline that stands for no wait.
  @inlinable package static var noWait: UInt64 { 0 }
  /// The deadline of a wait that has none.
  @inlinable package static var noDeadline: UInt64 { .max }

  /// The offsets of the header's fields.
  @usableFromInline
  package enum Header {
    @inlinable package static var magic: Int { 0 }
    @inlinable package static var version: Int { 8 }
    @inlinable package static var headerSize: Int { 12 }
    @inlinable package static var recordSize: Int { 16 }
    @inlinable package static var process: Int { 20 }
    @inlinable package static var capacity: Int { 24 }
    @inlinable package static var count: Int { 32 }
    @inlinable package static var withoutRoom: Int { 40 }
    /// The length of the fields of version 1.
    @inlinable package static var length: Int { 48 }
  }

  /// The offsets of a record's fields.
  @usableFromInline
  package enum Record {
    @inlinable package static var sequence: Int { 0 }
    @inlinable package static var cookie: Int { 8 }
    @inlinable package static var number: Int { 16 }
    @inlinable package static var descriptor: Int { 20 }
    @inlinable package static var opened: Int { 24 }
    @inlinable package static var input: Int { 32 }
    @inlinable package static var output: Int { 40 }
    @inlinable package static var intentEnds: Int { 48 }
    @inlinable package static var line: Int { 56 }
    @inlinable package static var kind: Int { 60 }
    @inlinable package static var phase: Int { 61 }
    @inlinable package static var intent: Int { 62 }
    @inlinable package static var nameLength: Int { 63 }
    @inlinable package static var name: Int { 64 }
  }

  /// The kind of a socket.
  package enum Kind: UInt8, CaseIterable, Sendable {
    case socket = 1
    case listener, connection, datagramSocket
  }

  /// The phase of a socket's life, as Fin sees it.
  package enum Phase: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    /// Created, without an address.
    case fresh
    /// Has a local address.
    case bound
    /// A connect attempt is under way.
    case connecting
    /// Accepts clients.
    case listening
    /// Keeps its port and accepts no clients.
    case paused
    /// Accepts the clients that are already queued, and no more.
    case stopping
    /// Both directions are open.
    case connected
    /// The program has finished sending.
    case sendFinished
    /// The program has read the peer's end of file.
    case peerFinished
    /// Both directions have finished.
    case bothFinished
    /// A reset or a timeout has ended the connection.
    case failed
    /// Closing: waits until everything is acknowledged.
    case confirming
    /// Closing: the peer has finished; waits until everything is acknowledged.
    case confirmingLast
    /// Closing: reads and discards.
    case lingering
    /// Closing: everything is acknowledged; reads and discards.
    case lingeringAcknowledged
    /// The descriptor is released.
    case closed

    /// Whether a close has begun.
    package var isClosing: Bool { rawValue >= Phase.confirming.rawValue }

    package var description: String {
      switch self {
      case .fresh: "fresh"
      case .bound: "bound"
      case .connecting: "connecting"
      case .listening: "listening"
      case .paused: "paused"
      case .stopping: "stopping"
      case .connected: "connected"
      case .sendFinished: "send finished"
      case .peerFinished: "peer finished"
      case .bothFinished: "both finished"
      case .failed: "failed"
      case .confirming: "confirming"
      case .confirmingLast: "confirming last"
      case .lingering: "lingering"
      case .lingeringAcknowledged: "lingering, acknowledged"
      case .closed: "closed"
      }
    }
  }

  /// The intents that a program can declare.
  package struct Intent: OptionSet, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// One side has finished, and the other continues.
    package static let halfClosed = Intent(rawValue: 1)
    /// Received data is left unread.
    package static let readPaused = Intent(rawValue: 2)
    /// No data may pass for a long time.
    package static let idle = Intent(rawValue: 4)
    /// The connection waits in a pool.
    package static let pooled = Intent(rawValue: 8)

    package var description: String {
      let names: [(Intent, String)] = [
        (.halfClosed, "half closed"), (.readPaused, "reading paused"), (.idle, "idle"), (.pooled, "pooled"),
      ]
      return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
  }
}
