/// How many bytes the kernel has taken.
struct Accepted: Progress {
  var count = 0
  var time: SendTime

  init(_ patience: Patience) { time = SendTime(patience) }

  mutating func gaveUp(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    time.isOver(on: core)
    return core.error(operation, cause, bytesAccepted: count)
  }
}

/// What each verb of ``Sending`` gives: one try each, inside the gate as its one writer.
extension Core {
  /// The bytes of a collection in which they lie together; lent anew for each try, so that nothing unsafe outlives one.
  func send(
    all bytes: some Collection<UInt8>, _ accepted: inout Accepted, _ world: World
  ) throws(SocketError) -> Attempt<Int> {
    let outcome = bytes.withContiguousStorageIfAvailable { bytes in
      Result { () throws(SocketError) in
        try unsafe send(UnsafeRawBufferPointer(bytes), &accepted, world)
      }
    }
    guard let outcome else { preconditionFailure("a collection whose bytes lay together a moment ago") }
    return try outcome.get()
  }
}

/// Several pieces on their way, as one.
struct Gathering: Progress {
  private var rest: ArraySlice<[UInt8]>
  /// What the kernel has taken so far.
  private var accepted: Accepted
  /// What it had taken before the first of the rest.
  private var before = 0

  init(_ pieces: [[UInt8]], _ patience: Patience) {
    rest = pieces[...]
    accepted = Accepted(patience)
  }

  mutating func gaveUp(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    accepted.gaveUp(core, operation, cause)
  }

  /// How many pieces one system call gets: within `UIO_MAXIOV` (1024, uio(7)), and few enough that lending their storage,
  /// which takes a level of the stack for each, fits into any thread's.
  private static let piecesAtOnce = 128

  mutating func send(on core: Core, _ world: World) throws(SocketError) -> Attempt<Void> {
    repeat {
      var buffers = unsafe [UnsafeRawBufferPointer]()
      let next = try unsafe withBuffers(of: rest.prefix(Gathering.piecesAtOnce), &buffers) {
        buffers throws(SocketError) in
        try unsafe core.send(gathering: buffers, skipping: accepted.count - before, &accepted, world)
      }
      guard case .done = next else { return next }
      rest = rest.dropFirst(Gathering.piecesAtOnce)
      before = accepted.count
    } while !rest.isEmpty
    accepted.time.isOver(on: core)
    return .done(())
  }
}

/// Lends the storage of all pieces at once.
private func withBuffers<R>(
  of pieces: ArraySlice<[UInt8]>, _ buffers: inout [UnsafeRawBufferPointer],
  _ body: ([UnsafeRawBufferPointer]) throws(SocketError) -> R
) throws(SocketError) -> R {
  guard let piece = pieces.first else { return try unsafe body(buffers) }
  return try unsafe piece.span.bytes.withUnsafeBytes { bytes throws(SocketError) in
    unsafe buffers.append(bytes)
    return try unsafe withBuffers(of: pieces.dropFirst(), &buffers, body)
  }
}
