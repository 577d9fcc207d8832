/// The bytes received so far for a request that needs more.
struct PartialReceive: OperationState {
  var bytes: [UInt8] = []

  /// Puts the received bytes back into the read buffer, so that they stay readable.
  mutating func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError
  {
    if !bytes.isEmpty { core.withBuffer { $0.putBack(bytes) } }
    return core.error(operation, cause)
  }
}

/// A search for a delimiter in the read buffer.
struct DelimiterScan: OperationState {
  /// The number of bytes that are known not to begin the delimiter.
  var done = 0
}

/// The attempts of the ``Receiving`` operations. Each is one attempt, made inside the gate as the only reader.
extension Core {
  func take(into output: inout OutputRawSpan, _ access: Access) throws(SocketError) -> Attempt<Int> {
    guard output.freeCapacity > 0 else { throw error(.receive, .invalid("no room to receive into")) }
    return try unsafe output.withUnsafeMutableBytes { buffer, count throws(SocketError) in
      let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
      let received: Int
      if buffered > 0 {
        let bytes = withBuffer { $0.take(room.count) }
        unsafe room.copyBytes(from: bytes)
        received = bytes.count
      } else {
        guard let some = try unsafe receiveSome(into: room, access) else { return awaitInput() }
        received = some
      }
      count += received
      return .done(received)
    }
  }

  func take(upTo most: Int, _ access: Access) throws(SocketError) -> Attempt<[UInt8]?> {
    guard most > 0 else { throw error(.receive, .invalid("cannot receive up to \(most) bytes")) }
    if buffered > 0 { return .done(withBuffer { $0.take(most) }) }
    guard let bytes = try receiveFresh(min(most, 256 << 10), access) else { return awaitInput() }
    if bytes.isEmpty { return .done(nil) }
    // An array keeps the capacity that it was created with. If it is more than half full it is returned as it is, which
    // saves a copy.
    return .done(bytes.count > bytes.capacity / 2 ? bytes : tight(bytes[...]))
  }

  /// - Parameter part: the bytes received by earlier attempts.
  func take(exactly count: Int, _ part: inout PartialReceive, _ access: Access) throws(SocketError) -> Attempt<[UInt8]?>
  {
    guard count >= 0 else { throw error(.receive, .invalid("cannot receive \(count) bytes")) }
    if part.bytes.isEmpty, buffered > 0 { part.bytes = withBuffer { $0.take(count) } }
    if part.bytes.count < count {
      let came = part.bytes.count
      let more: [UInt8]?
      do { more = try receiveFresh(min(count - came, max(64 << 10, came)), access) } catch {
        throw part.waitFailed(self, .receive, error.cause)
      }
      guard let more else { return awaitInput() }
      if more.isEmpty {
        if came == 0 { return .done(nil) }
        throw part.waitFailed(self, .receive, .endOfStream(received: came))
      }
      if came == 0 { part.bytes = more } else { part.bytes += more }
      if part.bytes.count < count { return .more }
    }
    return .done(part.bytes)
  }

  /// - Parameter part: the bytes received by earlier attempts.
  func takeAll(_ limit: Int, _ part: inout PartialReceive, _ access: Access) throws(SocketError) -> Attempt<[UInt8]> {
    guard limit >= 0 else { throw error(.receive, .invalid("a limit of \(limit) bytes")) }
    if part.bytes.isEmpty, buffered > 0 { part.bytes = withBuffer { $0.take(.max) } }
    let came = part.bytes.count
    guard came <= limit else { throw part.waitFailed(self, .receive, .limit("limit", limit)) }
    let more: [UInt8]?
    // A byte more than the limit tells a stream that is longer from one that ends there.
    do { more = try receiveFresh(max(1, min(limit - came, max(64 << 10, came))), access) } catch {
      throw part.waitFailed(self, .receive, error.cause)
    }
    guard let more else { return .blocked(.input) }
    if more.isEmpty { return .done(part.bytes) }
    if came == 0 { part.bytes = more } else { part.bytes += more }
    return .more
  }

  func take(
    until delimiter: [UInt8], _ limit: Int, _ search: inout DelimiterScan, _ access: Access
  ) throws(SocketError) -> Attempt<[UInt8]?> {
    guard !delimiter.isEmpty else { throw error(.receive, .invalid("the delimiter is empty")) }
    switch try find(delimiter, limit, "limit", &search, access) {
    case .blocked(let direction): return .blocked(direction)
    case .pause(let pause): return .pause(pause)
    case .more: return .more
    case .done(nil): return .done(nil)
    case .done(let length?):
      return .done(
        withBuffer { buffer in
          let bytes = buffer.take(length)
          buffer.drop(delimiter.count)
          return bytes
        })
    }
  }

  func takeLine(_ limit: Int, _ search: inout DelimiterScan, _ access: Access) throws(SocketError) -> Attempt<String?> {
    let length: Int
    switch try find([0x0A], limit, "line limit", carriageReturn: true, &search, access) {
    case .blocked(let direction): return .blocked(direction)
    case .pause(let pause): return .pause(pause)
    case .more: return .more
    case .done(nil): return .done(nil)
    case .done(let found?): length = found
    }
    let line = withBuffer { buffer -> String?? in
      let line = buffer.bytes.prefix(length)
      let isWindows = line.last == 0x0D
      let content = isWindows ? line.dropLast() : line
      guard content.count <= limit else { return .none }
      guard let text = String(validating: content, as: UTF8.self) else { return .some(nil) }
      buffer.drop(length + 1)
      return text
    }
    switch line {
    case .none: throw error(.receive, .limit("line limit", limit))
    case .some(.none): throw error(.receive, .notText)
    case .some(.some(let text)): return .done(text)
    }
  }

  func look(upTo most: Int, _ access: Access) throws(SocketError) -> Attempt<[UInt8]?> {
    guard most > 0 else { throw error(.receive, .invalid("cannot look at \(most) bytes")) }
    if buffered == 0 {
      guard let count = try fill(access) else { return awaitInput() }
      if count == 0 { return .done(nil) }
    }
    return .done(withBuffer { Array($0.bytes.prefix(most)) })
  }

  /// Receives with one system call, directly into a new array. It is empty at EOF, and `nil` when nothing is
  /// available yet.
  private func receiveFresh(_ most: Int, _ access: Access) throws(SocketError) -> [UInt8]? {
    // A task checks the cached readiness first, so that an attempt that would receive nothing allocates no memory.
    if !mayReceive(access) { return nil }
    var isBlocked = false
    let bytes = try [UInt8](capacity: most) { output throws(SocketError) in
      try unsafe output.withUnsafeMutableBufferPointer { buffer, count throws(SocketError) in
        if let received = try unsafe receiveSome(into: UnsafeMutableRawBufferPointer(buffer), access) {
          count = received
        } else {
          isBlocked = true
        }
      }
    }
    return isBlocked ? nil : bytes
  }

  /// Searches the read buffer for the delimiter, and receives more bytes if it is not there yet.
  ///
  /// - Returns: the number of bytes before the delimiter; `nil` when the peer had finished before the first byte.
  private func find(
    _ delimiter: [UInt8], _ limit: Int, _ name: String, carriageReturn: Bool = false, _ search: inout DelimiterScan,
    _ access: Access
  ) throws(SocketError) -> Attempt<Int?> {
    guard limit >= 0 else { throw error(.receive, .invalid("a limit of \(limit) bytes")) }
    // The \r before a \n does not count against the limit.
    let most = carriageReturn && limit < .max ? limit + 1 : limit
    func look() throws(SocketError) -> Int? {
      let (found, count, last) = withBuffer { ($0.find(delimiter, from: search.done), $0.count, $0.bytes.last) }
      if let found, found <= most { return found }
      let isOver = count - delimiter.count + 1 > (carriageReturn && last != 0x0D ? limit : most)
      if found != nil || isOver {
        throw error(.receive, .limit(name, limit))
      }
      search.done = max(0, count - delimiter.count + 1)
      return nil
    }
    if let found = try look() { return .done(found) }
    guard let more = try fill(access) else { return awaitInput() }
    if more == 0 {
      if buffered == 0 { return .done(nil) }
      throw error(.receive, .endOfStream(received: buffered))
    }
    // Checked before deadline and cancellation: a delimiter that was received is always returned.
    if let found = try look() { return .done(found) }
    return .more
  }
}
