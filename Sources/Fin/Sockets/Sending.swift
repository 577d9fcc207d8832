internal import Glibc

/// What can be sent to: ``Connection`` and ``SharedConnection``.
///
/// A `send` returns when the kernel has accepted all of the bytes, or throws and says how many it accepted. Accepted is not
/// delivered: what became of the bytes is in the ``CloseReport``. Each call's bytes arrive together, also when several
/// threads send. It waits at most `within`, or ``Timeouts/send`` of this socket when that is `nil`. No call raises SIGPIPE.
public protocol Sending: SocketEnd, ~Copyable {}

extension Sending where Self: ~Copyable {
  /// Sends all of the bytes; 0 bytes send nothing.
  ///
  /// The corresponding C function is `send` with `MSG_NOSIGNAL`, repeated. Nothing is copied besides.
  /// - Throws: `.reset`, `.lost`, `.peerClosed`, `.finished`, `.timedOut`, `.closed`; `bytesAccepted` tells how far it got.
  public borrowing func send(_ bytes: RawSpan, within: Duration? = nil) throws(SocketError) {
    let core = reference.core
    var patience = Patience(within ?? timeouts.send)
    try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
      _ = try core.writing(&patience) { patience throws(SocketError) in try unsafe core.sendAll(bytes, &patience) }
    }
  }

  /// Sends all of the bytes of an array, without copying it.
  public borrowing func send(_ bytes: [UInt8], within: Duration? = nil) throws(SocketError) {
    try send(unsafe bytes.span.bytes, within: within)
  }

  /// Sends all of the bytes of a collection; copied only when they do not lie together in memory.
  public borrowing func send(_ bytes: some Collection<UInt8>, within: Duration? = nil) throws(SocketError) {
    let core = reference.core
    var patience = Patience(within ?? timeouts.send)
    let outcome = bytes.withContiguousStorageIfAvailable { bytes -> Result<Void, SocketError> in
      Result { () throws(SocketError) in
        _ = try core.writing(&patience) { patience throws(SocketError) in
          try unsafe core.sendAll(UnsafeRawBufferPointer(bytes), &patience)
        }
      }
    }
    guard let outcome else { return try send(Array(bytes), within: within) }
    try outcome.get()
  }

  /// Sends the UTF-8 of a string, without copying it.
  public borrowing func send(_ text: some StringProtocol, within: Duration? = nil) throws(SocketError) {
    try send(text.utf8, within: within)
  }

  /// Sends several pieces as one: `sendmsg`. Nothing is copied.
  public borrowing func send(gathering pieces: [[UInt8]], within: Duration? = nil) throws(SocketError) {
    let core = reference.core
    var patience = Patience(within ?? timeouts.send)
    try core.writing(&patience) { patience throws(SocketError) in
      var accepted = 0
      var rest = pieces[...]
      repeat {
        var buffers = unsafe [UnsafeRawBufferPointer]()
        try unsafe withBuffers(of: rest.prefix(piecesAtOnce), &buffers) { buffers throws(SocketError) in
          try unsafe core.sendAll(gathering: buffers, &accepted, &patience)
        }
        rest = rest.dropFirst(piecesAtOnce)
      } while !rest.isEmpty
    }
  }

  /// Sends as many of the bytes as the kernel takes at once, at least one; waits only while it takes none.
  ///
  /// The corresponding C function is `send`, once.
  /// - Returns: how many were accepted; 0 only for 0 bytes.
  public borrowing func sendSome(_ bytes: RawSpan, within: Duration? = nil) throws(SocketError) -> Int {
    let core = reference.core
    var patience = Patience(within ?? timeouts.send)
    return try unsafe bytes.withUnsafeBytes { bytes throws(SocketError) in
      try core.writing(&patience) { patience throws(SocketError) in
        try unsafe core.sendAll(bytes, some: true, &patience)
      }
    }
  }
}

/// How many pieces one system call gets: within `UIO_MAXIOV` (1024, uio(7)), and few enough that lending their storage,
/// which takes a level of the stack for each, fits into any thread's.
private let piecesAtOnce = 128

/// Lends the storage of all pieces at once.
private func withBuffers(
  of pieces: ArraySlice<[UInt8]>, _ buffers: inout [UnsafeRawBufferPointer],
  _ body: ([UnsafeRawBufferPointer]) throws(SocketError) -> Void
) throws(SocketError) {
  guard let piece = pieces.first else { return try unsafe body(buffers) }
  try unsafe piece.span.bytes.withUnsafeBytes { bytes throws(SocketError) in
    unsafe buffers.append(bytes)
    try unsafe withBuffers(of: pieces.dropFirst(), &buffers, body)
  }
}
