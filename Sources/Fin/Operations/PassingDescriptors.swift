internal import CFin
internal import Glibc
internal import SystemPackage

/// The progress of a send that passes descriptors.
struct PassingState: OperationState {
  let numbers: [CInt]
  var accepted: SendState

  init(_ descriptors: [FileDescriptor], _ timeout: LazyDeadline) {
    numbers = descriptors.map(\.rawValue)
    accepted = SendState(timeout)
  }

  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    accepted.waitFailed(core, operation, cause)
  }
}

/// Passing descriptors over a Unix stream: `SCM_RIGHTS` (unix(7)). One attempt each, inside the gate.
extension Core {
  /// Sends bytes, and passes descriptors with the first of them.
  func send(_ bytes: [UInt8], _ passing: inout PassingState, _ access: Access) throws(SocketError) -> Attempt<Void> {
    try checkPassing(passing.numbers.count)
    guard !bytes.isEmpty || passing.numbers.isEmpty else {
      throw error(.send, .invalid("descriptors travel with at least one byte of a stream"))
    }
    if passing.accepted.count == 0, !passing.numbers.isEmpty {
      try checkSending(0)
      let cached = CachedReadiness(of: self, access)
      do throws(Errno) {
        passing.accepted.count = try unsafe bytes.span.bytes.withUnsafeBytes { bytes throws(Errno) in
          try unsafe Syscalls.send(number(access), bytes, passing: passing.numbers)
        }
      } catch {
        try checkPassed(error)
        try check(error, &passing.accepted, cached, access)
        return .blocked(.output)
      }
      if passing.accepted.count < bytes.count { return .more }
    }
    switch try send(all: bytes, &passing.accepted, access) {
    case .done: return .done(())
    case .more: return .more
    case .blocked(let direction): return .blocked(direction)
    case .pause(let pause): return .pause(pause)
    }
  }

  /// Refuses what the kernel would refuse with an error that names no reason.
  func checkPassing(_ count: Int) throws(SocketError) {
    guard family == .unix else { throw error(.send, .invalid("descriptors travel over Unix sockets only")) }
    #if TLS
    if count > 0, isSecured { throw error(.send, .invalid("descriptors do not travel over a secured connection")) }
    #endif
    guard count <= ControlMessages.mostDescriptors else {
      throw error(
        .send, .invalid("\(count) descriptors in one message; Linux accepts \(ControlMessages.mostDescriptors)"))
    }
  }

  /// Throws for an error that concerns the descriptors and not the connection.
  func checkPassed(_ code: Errno) throws(SocketError) {
    switch code {
    case .badFileDescriptor: throw error(.send, .system(code), note: "a descriptor to be passed is not open")
    case .tooManyReferences:
      throw error(
        .send, .system(code), note: "this user has more descriptors on the way than its limit allows, see ulimit -n")
    default: break
    }
  }

  /// Receives bytes of a stream, and the descriptors that were passed with them.
  ///
  /// - Parameter limit: the most descriptors that one message may bring.
  func takeMessage(
    upTo most: Int, descriptors limit: Int, _ access: Access
  ) throws(SocketError) -> Attempt<ReceivedMessage.Parts?> {
    guard family == .unix else { throw error(.receive, .invalid("descriptors travel over Unix sockets only")) }
    #if TLS
    if isSecured { throw error(.receive, .invalid("descriptors do not travel over a secured connection")) }
    #endif
    guard most > 0 else { throw error(.receive, .invalid("cannot receive up to \(most) bytes")) }
    guard limit >= 0 else { throw error(.receive, .invalid("cannot receive \(limit) descriptors")) }
    // These bytes were received without descriptors, or before those that are next.
    if buffered > 0 { return .done(ReceivedMessage.Parts(bytes: withBuffer { $0.take(most) })) }
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    let (head, bytes, failure) = receiveMessage(upTo: min(most, 256 << 10), access)
    guard let head else { return try inputFailed(failure ?? .resourceTemporarilyUnavailable, cached) }
    // Bytes of a stream stay readable after an error that concerns the descriptors.
    let parts = try owned(head, bytes, limit) { withBuffer { $0.putBack(bytes) } }
    if bytes.isEmpty {
      try checkEnd(access)
      return .done(nil)
    }
    return .done(parts)
  }

  /// `recvmsg(2)` into a new array.
  ///
  /// - Returns: the head and the bytes, or the error.
  func receiveMessage(upTo most: Int, _ access: Access) -> (MessageHead?, [UInt8], Errno?) {
    var head: MessageHead?
    var failure: Errno?
    let bytes = [UInt8](capacity: most) { output in
      unsafe output.withUnsafeMutableBufferPointer { buffer, count in
        do throws(Errno) {
          let received = try unsafe Syscalls.receiveMessage(number(access), UnsafeMutableRawBufferPointer(buffer))
          head = received
          count = received.count
        } catch { failure = error }
      }
    }
    return (head, bytes.count > bytes.capacity / 2 ? bytes : tight(bytes[...]), failure)
  }

  /// Decides on an error of `recvmsg(2)`: nothing is there yet, the end was read before, or the connection has failed.
  func inputFailed<R>(_ code: Errno, _ cached: CachedReadiness) throws(SocketError) -> Attempt<R?> {
    if code == .resourceTemporarilyUnavailable {
      cached.clear([.input, .inputIsPartial])
      return .blocked(.input)
    }
    let cause = connectionState.value.failure ?? fail(code)
    if connectionState.value.sawEnd { return .done(nil) }
    throw error(.receive, cause)
  }

  /// Takes the descriptors of a message, or closes all of them and throws.
  func owned(
    _ head: MessageHead, _ bytes: [UInt8], _ limit: Int, keeping keep: () -> Void
  ) throws(SocketError) -> ReceivedMessage.Parts {
    for number in head.contents.processes { Syscalls.close(number) }
    let numbers = head.contents.descriptors
    guard !head.hasLostControl, numbers.count <= limit else {
      for number in numbers { Syscalls.close(number) }
      keep()
      throw error(.receive, head.hasLostControl ? .descriptorsLost : .limit("number of descriptors", limit))
    }
    let sender = head.contents.credentials.map { PeerCredentials(pid: $0.pid, uid: $0.uid, gid: $0.gid) }
    return ReceivedMessage.Parts(bytes: bytes, numbers: numbers, sender: sender)
  }
}
