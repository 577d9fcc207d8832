internal import FinBase
public import SystemPackage

/// The owner of one descriptor: it is closed exactly once, when the owner is dropped or closed, unless ``detach()``
/// has given it away.
///
/// Descriptors that a peer passed over a Unix socket arrive in such owners, and so does
/// ``StreamSocketProtocol/peerProcess()``. Each one is `CLOEXEC`.
public struct OwnedDescriptor: ~Copyable, Sendable {
  private let owner: Descriptor

  init(owning number: CInt) { owner = Descriptor(owning: number) }

  /// Gives the descriptor away: the caller has to close it. ``Connection/adopt(_:timeouts:file:line:)``,
  /// ``Listener/adopt(_:backlog:timeouts:file:line:)`` and the other forms of `adopt` take it over.
  public consuming func detach() -> FileDescriptor { FileDescriptor(rawValue: owner.take()) }

  /// Lends the descriptor to `body`, which must not close it and must not keep it.
  public borrowing func withDescriptor<R>(_ body: (FileDescriptor) -> R) -> R {
    body(FileDescriptor(rawValue: owner.number))
  }

  /// Closes the descriptor: `close(2)`.
  public consuming func close() {}
}

/// The descriptors that came with one message, in the order in which the peer passed them.
///
/// Those that ``takeFirst()`` has not handed out are closed together with this value.
public struct PassedDescriptors: ~Copyable, Sendable {
  private var numbers: [CInt]

  init(owning numbers: [CInt]) { self.numbers = numbers }

  deinit { for number in numbers { _ = Descriptor(owning: number) } }

  /// The number of descriptors that are still here.
  public var count: Int { numbers.count }

  /// Hands out the first descriptor; `nil` when none is left.
  public mutating func takeFirst() -> OwnedDescriptor? {
    numbers.isEmpty ? nil : OwnedDescriptor(owning: numbers.removeFirst())
  }
}

/// Bytes from a Unix socket, and the descriptors that were passed with them.
@frozen
public struct ReceivedMessage: ~Copyable, Sendable {
  /// The bytes; of a stream, those that were available.
  public let bytes: [UInt8]
  /// The descriptors, each of them `CLOEXEC`. They are closed with this value unless they are taken.
  public var descriptors: PassedDescriptors
  /// The sender's credentials, if `SO_PASSCRED` is set on the receiving socket; otherwise `nil`.
  public let sender: PeerCredentials?

  init(_ parts: Parts) {
    bytes = parts.bytes
    descriptors = PassedDescriptors(owning: parts.numbers)
    sender = parts.sender
  }

  /// The message before its descriptors have an owner.
  struct Parts {
    var bytes: [UInt8] = []
    var numbers: [CInt] = []
    var sender: PeerCredentials?
  }

  /// The number of descriptors that Linux accepts in one message: 253.
  public static let mostDescriptors = 253
}
