internal import Glibc
internal import SystemPackage

/// Receiving into several pieces, one attempt, inside the gate as the only reader.
extension Core {
  /// The most pieces: within `UIO_MAXIOV` (uio(7)), and few enough for any thread's stack, because each piece takes a
  /// stack frame.
  private static let mostPieces = 64

  func take(scattering lengths: [Int], _ access: Access) throws(SocketError) -> Attempt<[[UInt8]]?> {
    guard !lengths.isEmpty, lengths.count <= Core.mostPieces, lengths.allSatisfy({ $0 >= 0 }) else {
      throw error(.receive, .invalid("cannot receive into \(lengths.count) pieces: 1 to \(Core.mostPieces)"))
    }
    // The arrays are allocated before anything is received.
    let total = lengths.reduce(0) { min($0, Datagram.most) + min($1, Datagram.most) }
    guard (1...Datagram.most).contains(total) else {
      throw error(.receive, .invalid("cannot receive into pieces of \(lengths) bytes: 1 byte to 16 MiB in all"))
    }
    if buffered > 0 { return .done(split(withBuffer { $0.take(total) }[...], lengths)) }
    #if TLS
    if isSecured {
      switch try take(upTo: total, access) {
      case .done(let bytes): return .done(bytes.map { split($0[...], lengths) })
      case .more: return .more
      case .blocked(let direction): return .blocked(direction)
      case .pause(let pause): return .pause(pause)
      }
    }
    #endif
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    var vectors = unsafe [iovec]()
    var pieces: [[UInt8]] = []
    var received = 0
    do throws(Errno) {
      try unsafe fill(lengths[...], from: 0, &vectors, &pieces, &received) { vectors throws(Errno) in
        try unsafe vectors.withUnsafeMutableBufferPointer { vectors throws(Errno) in
          try unsafe Syscalls.receive(number(access), scattering: vectors)
        }
      }
    } catch { return try inputFailed(error, cached) }
    if received == 0 {
      try checkEnd(access)
      return .done(nil)
    }
    noteReceived(received)
    if received < total, isTCP { cached.clear(.input, unless: .inputIsPartial) }
    return .done(pieces.reversed())
  }

  /// Makes a new array for each length, all of them at once, and calls `body` with their memory. Each array then has
  /// its part of the bytes that `body` received; the arrays are in reverse order.
  ///
  /// - Parameter start: the number of bytes in the pieces before these.
  private func fill(
    _ lengths: ArraySlice<Int>, from start: Int, _ vectors: inout [iovec], _ pieces: inout [[UInt8]],
    _ received: inout Int, _ body: (inout [iovec]) throws(Errno) -> Int
  ) throws(Errno) {
    guard let length = lengths.first else {
      received = try unsafe body(&vectors)
      return
    }
    let piece = try [UInt8](capacity: length) { output throws(Errno) in
      try unsafe output.withUnsafeMutableBufferPointer { buffer, count throws(Errno) in
        unsafe vectors.append(iovec(iov_base: buffer.baseAddress, iov_len: length))
        try unsafe fill(lengths.dropFirst(), from: start + length, &vectors, &pieces, &received, body)
        count = max(0, min(length, received - start))
      }
    }
    pieces.append(piece)
  }

  private func split(_ bytes: ArraySlice<UInt8>, _ lengths: [Int]) -> [[UInt8]] {
    var rest = bytes
    return lengths.map { length in
      let piece = Array(rest.prefix(length))
      rest = rest.dropFirst(length)
      return piece
    }
  }
}
