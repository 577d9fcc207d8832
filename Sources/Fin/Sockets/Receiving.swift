/// What can be received from: ``Connection``, ``ReceivingConnection``, ``SharedConnection``.
///
/// Every verb waits at most `within`, or ``Timeouts/receive`` of this socket when that is `nil`. The end of the stream is a
/// value: 0, or `nil`. A reset is an error, whatever was heard first, and comes after the bytes that arrived before it.
/// One receiver at a time: the second gets `.busy`.
public protocol Receiving: SocketEnd, ~Copyable {}

extension Receiving where Self: ~Copyable {
  /// Receives what has arrived, or what comes next, into the free part of `output`.
  ///
  /// The corresponding C function is `recv`; nothing is copied besides, and nothing is buffered.
  /// - Returns: the bytes appended to `output`; 0 when the peer has finished.
  /// - Throws: `.reset`, `.lost`, `.timedOut`, `.closed`, `.busy`; `.invalid` when `output` has no room, because 0 would
  ///   then look like an end.
  public borrowing func receive(into output: inout OutputRawSpan, within: Duration? = nil) throws(SocketError) -> Int {
    let core = reference.core
    guard output.freeCapacity > 0 else { throw core.error(.receive, .invalid("no room to receive into")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      try unsafe output.withUnsafeMutableBytes { buffer, count throws(SocketError) in
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
        let received: Int
        if core.buffered > 0 {
          let bytes = core.withBuffer { $0.take(room.count) }
          unsafe room.copyBytes(from: bytes)
          received = bytes.count
        } else {
          received = try unsafe core.receiveSome(into: room, &patience)
        }
        count += received
        return received
      }
    }
  }

  /// Receives what has arrived, or what comes next.
  ///
  /// - Parameters:
  ///   - most: bytes, above 0. Memory is taken for what comes, not for what is allowed.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  /// - Throws: as ``receive(into:within:)``.
  public borrowing func receive(upTo most: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    guard most > 0 else { throw core.error(.receive, .invalid("cannot receive up to \(most) bytes")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      if core.buffered > 0 { return core.withBuffer { $0.take(most) } }
      let bytes = try core.receiveFresh(min(most, 256 << 10), &patience)
      return bytes.isEmpty ? nil : bytes
    }
  }

  /// Receives exactly so many bytes.
  ///
  /// - Parameters:
  ///   - count: bytes, 0 or more. Memory grows with what comes, so that a length sent by a stranger costs nothing.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: `count` bytes; `nil` when the peer had finished before the first.
  /// - Throws: `.endOfStream(received:)` when the peer finished in the middle; what came, then or before any other error,
  ///   stays readable.
  public borrowing func receive(exactly count: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    guard count >= 0 else { throw core.error(.receive, .invalid("cannot receive \(count) bytes")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      var bytes = core.buffered > 0 ? core.withBuffer { $0.take(count) } : []
      while bytes.count < count {
        do throws(SocketError) {
          let more = try core.receiveFresh(min(count - bytes.count, max(64 << 10, bytes.count)), &patience)
          if more.isEmpty {
            if bytes.isEmpty { return nil }
            throw core.error(.receive, .endOfStream(received: bytes.count))
          }
          if bytes.isEmpty { bytes = more } else { bytes += more }
        } catch {
          if !bytes.isEmpty { core.withBuffer { $0.putBack(bytes) } }
          throw error
        }
      }
      return bytes
    }
  }

  /// Receives up to a delimiter, which is taken and not returned.
  ///
  /// - Parameters:
  ///   - delimiter: one byte or more.
  ///   - limit: bytes before the delimiter, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: the bytes before the delimiter; `nil` when the peer had finished before the first byte.
  /// - Throws: `.limit` when more than `limit` bytes came without it; `.endOfStream(received:)` when the peer finished in
  ///   the middle. What came stays readable in every case.
  public borrowing func receive(
    until delimiter: [UInt8], limit: Int = 64 << 10, within: Duration? = nil
  ) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    guard !delimiter.isEmpty else { throw core.error(.receive, .invalid("the delimiter is empty")) }
    guard limit >= 0 else { throw core.error(.receive, .invalid("a limit of \(limit) bytes")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      guard let length = try core.find(delimiter, limit, "limit", &patience) else { return nil }
      return core.withBuffer { buffer in
        let bytes = buffer.take(length)
        buffer.drop(delimiter.count)
        return bytes
      }
    }
  }

  /// Receives up to a byte, which is taken and not returned.
  public borrowing func receive(
    until delimiter: UInt8, limit: Int = 64 << 10, within: Duration? = nil
  ) throws(SocketError) -> [UInt8]? {
    try receive(until: [delimiter], limit: limit, within: within)
  }

  /// Receives a line of UTF-8, without its end: `\n` or `\r\n`.
  ///
  /// A line that the peer did not end is no line: a command cut in the middle must not be taken for a whole one.
  /// - Parameters:
  ///   - limit: bytes of a line without its end, at most.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/receive``.
  /// - Returns: the line; `nil` when the peer had finished before its first byte.
  /// - Throws: as ``receive(until:limit:within:)-([UInt8],_,_)``; `.notText` when it is not UTF-8. The line stays readable
  ///   as bytes.
  public borrowing func readLine(limit: Int = 64 << 10, within: Duration? = nil) throws(SocketError) -> String? {
    let core = reference.core
    guard limit >= 0 else { throw core.error(.receive, .invalid("a limit of \(limit) bytes")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      guard let length = try core.find([0x0A], limit, "line limit", carriageReturn: true, &patience) else { return nil }
      let line = core.withBuffer { buffer -> String?? in
        let line = buffer.bytes.prefix(length)
        let isWindows = line.last == 0x0D
        let content = isWindows ? line.dropLast() : line
        guard content.count <= limit else { return .none }
        guard let text = String(validating: content, as: UTF8.self) else { return .some(nil) }
        buffer.drop(length + 1)
        return text
      }
      switch line {
      case .none: throw core.error(.receive, .limit("line limit", limit))
      case .some(.none): throw core.error(.receive, .notText)
      case .some(.some(let text)): return text
      }
    }
  }

  /// Looks at what has arrived, or comes next, without taking it.
  ///
  /// The corresponding C flag is `MSG_PEEK`. Bytes looked at are kept in the read buffer.
  /// - Returns: 1 to `most` bytes; `nil` when the peer has finished.
  public borrowing func peek(upTo most: Int, within: Duration? = nil) throws(SocketError) -> [UInt8]? {
    let core = reference.core
    guard most > 0 else { throw core.error(.receive, .invalid("cannot look at \(most) bytes")) }
    var patience = Patience(within ?? timeouts.receive)
    return try core.reading { () throws(SocketError) in
      if core.buffered == 0, try core.fill(&patience) == 0 { return nil }
      return core.withBuffer { Array($0.bytes.prefix(most)) }
    }
  }
}

extension Core {
  /// One system call's worth of bytes, straight into an array of its own; empty when the peer has finished.
  fileprivate func receiveFresh(_ most: Int, _ patience: inout Patience) throws(SocketError) -> [UInt8] {
    try [UInt8](capacity: most) { output throws(SocketError) in
      try unsafe output.withUnsafeMutableBufferPointer { buffer, count throws(SocketError) in
        count = try unsafe receiveSome(into: UnsafeMutableRawBufferPointer(buffer), &patience)
      }
    }
  }

  /// Fills the read buffer until it holds the delimiter.
  ///
  /// - Returns: the bytes before it; `nil` when the peer had finished before the first.
  fileprivate func find(
    _ delimiter: [UInt8], _ limit: Int, _ name: String, carriageReturn: Bool = false, _ patience: inout Patience
  ) throws(SocketError) -> Int? {
    // The \r before a \n does not count.
    let most = carriageReturn && limit < .max ? limit + 1 : limit
    var searched = 0
    while true {
      let (found, count, last) = withBuffer { ($0.find(delimiter, from: searched), $0.count, $0.bytes.last) }
      if let found, found <= most { return found }
      let isOver = count - delimiter.count + 1 > (carriageReturn && last != 0x0D ? limit : most)
      if found != nil || isOver {
        throw error(.receive, .limit(name, limit))
      }
      searched = max(0, count - delimiter.count + 1)
      if try fill(&patience) == 0 {
        if count == 0 { return nil }
        throw error(.receive, .endOfStream(received: count))
      }
    }
  }
}
