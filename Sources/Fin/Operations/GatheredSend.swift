/// The number of bytes that the kernel has accepted in one operation.
struct SendState: OperationState {
  var count = 0
  var time: SendTimeLimit

  init(_ timeout: LazyDeadline) { time = SendTimeLimit(timeout) }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    time.isOver(on: core)
    return core.error(operation, cause, bytesAccepted: count)
  }
}

/// The operations of ``Sending``, one attempt each, inside the gate as its only writer.
extension Core {
  /// Sends the bytes of a contiguous collection. They are borrowed anew for each attempt, so that no unsafe value
  /// outlives one.
  func send(
    all bytes: some Collection<UInt8>, _ accepted: inout SendState, _ access: Access
  ) throws(SocketError) -> Attempt<Int> {
    let outcome = bytes.withContiguousStorageIfAvailable { bytes in
      Result { () throws(SocketError) in
        try unsafe send(UnsafeRawBufferPointer(bytes), &accepted, access)
      }
    }
    guard let outcome else { preconditionFailure("a contiguous collection lent no storage") }
    return try outcome.get()
  }
}

/// The progress of a send of several pieces as one.
struct GatherState: OperationState {
  private var rest: ArraySlice<[UInt8]>
  /// The bytes that the kernel has accepted so far.
  private var accepted: SendState
  /// The bytes that it had accepted before the first piece of `rest`.
  private var before = 0

  init(_ pieces: [[UInt8]], _ timeout: LazyDeadline) {
    rest = pieces[...]
    accepted = SendState(timeout)
  }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    accepted.waitFailed(core, operation, cause)
  }

  /// The number of pieces in one system call: within `UIO_MAXIOV` (1024, uio(7)), and few enough for any thread's
  /// stack, because borrowing the storage of a piece takes a stack frame.
  static let piecesAtOnce = 128

  mutating func send(on core: Core, _ access: Access) throws(SocketError) -> Attempt<Void> {
    repeat {
      var buffers = unsafe [UnsafeRawBufferPointer]()
      let next = try unsafe withBuffers(of: rest.prefix(GatherState.piecesAtOnce), &buffers) {
        buffers throws(SocketError) in
        try unsafe core.send(gathering: buffers, skipping: accepted.count - before, &accepted, access)
      }
      guard case .done = next else { return next }
      rest = rest.dropFirst(GatherState.piecesAtOnce)
      before = accepted.count
    } while !rest.isEmpty
    accepted.time.isOver(on: core)
    return .done(())
  }
}

/// Calls `body` with the storage of all pieces, borrowed at once. There may be ``GatherState/piecesAtOnce``.
func withBuffers<R, E: Error>(
  of pieces: ArraySlice<[UInt8]>, _ buffers: inout [UnsafeRawBufferPointer],
  _ body: ([UnsafeRawBufferPointer]) throws(E) -> R
) throws(E) -> R {
  guard let piece = pieces.first else { return try unsafe body(buffers) }
  return try unsafe piece.span.bytes.withUnsafeBytes { bytes throws(E) in
    unsafe buffers.append(bytes)
    return try unsafe withBuffers(of: pieces.dropFirst(), &buffers, body)
  }
}
