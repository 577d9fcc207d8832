internal import SystemPackage

/// The progress of a batch that is being sent.
struct BatchSendState: OperationState {
  fileprivate let datagrams: [OutgoingDatagram]
  /// The number of datagrams that the kernel has accepted.
  fileprivate var count = 0
  /// The next pause, for when no event reports room; it grows with each attempt.
  fileprivate var pause = Duration.milliseconds(1)

  init(_ datagrams: [OutgoingDatagram]) { self.datagrams = datagrams }

  func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    core.failure(operation, cause, datagrams[count].peer, datagramsAccepted: count)
  }
}

/// Several datagrams in one system call, one attempt each.
extension Core {
  /// The most datagrams to receive at once; `UIO_MAXIOV` of the kernel.
  static let mostInBatch = 1024
  /// The number of datagrams in one system call of a send.
  private static let sentAtOnce = 64

  func send(_ batch: inout BatchSendState, _ access: Access) throws(SocketError) -> Attempt<Void> {
    if batch.datagrams.isEmpty { return .done(()) }
    let cached = CachedReadiness(of: self, access)
    let next = batch.datagrams[batch.count...].prefix(Core.sentAtOnce)
    do throws(Errno) {
      var buffers = unsafe [UnsafeRawBufferPointer]()
      let pieces = next.map(\.bytes)
      let peers = next.map(\.peer)
      batch.count += try unsafe withBuffers(of: pieces[...], &buffers) { buffers throws(Errno) in
        try unsafe Syscalls.send(number(access), buffers, to: peers)
      }
    } catch {
      let peer = next.first?.peer
      guard error == .resourceTemporarilyUnavailable else {
        if let reported = reported(.send, error, peer, datagramsAccepted: batch.count, access) { throw reported }
        throw failure(
          .send, .system(error), peer,
          note: error == .messageTooLong ? tooLong(next.first?.bytes.count ?? 0, peer) : nil,
          datagramsAccepted: batch.count)
      }
      if family == .unix, peer != nil {
        // The receiver's queue is full: see the send of a single datagram.
        defer { batch.pause = min(batch.pause * 2, .milliseconds(50)) }
        return .pause(.time(batch.pause))
      }
      cached.clear(.output)
      return .blocked(.output)
    }
    batch.pause = .milliseconds(1)
    // The kernel has chosen a port if there was none.
    if phase == .fresh, family != .unix { advance(.bind) }
    return batch.count < batch.datagrams.count ? .more : .done(())
  }

  /// Receives the datagrams that are there, at most this many.
  func receiveBatch(_ most: Int, upTo size: Int, _ access: Access) throws(SocketError) -> Attempt<[Datagram]> {
    guard (1...Core.mostInBatch).contains(most) else {
      throw error(.receive, .invalid("cannot receive \(most) datagrams at once: 1 to \(Core.mostInBatch)"))
    }
    guard size >= 0, size <= Datagram.most / most else {
      throw error(.receive, .invalid("cannot receive \(most) datagrams of up to \(size) bytes: 16 MiB in all"))
    }
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: max(1, most * size), alignment: 1) {
      room throws(SocketError) in
      do throws(Errno) {
        let heads = try unsafe Syscalls.receiveDatagrams(number(access), most, of: size, into: room)
        if let first = heads.first { try checkIsDatagram(first.length, first.sender) }
        return .done(
          heads.enumerated().map { index, head in
            let start = index * size
            let bytes = unsafe Array(room[start..<(start + min(head.length, size))])
            return Datagram(bytes: bytes, sender: head.sender, length: head.length)
          })
      } catch { return try nothingArrived(error, cached, access) }
    }
  }
}
