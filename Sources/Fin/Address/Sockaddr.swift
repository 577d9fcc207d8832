public import Glibc

// The only file in the package that accesses a `sockaddr` through a pointer of another type. Input is trusted only as
// far as its length reaches: a length may be too short, too long, or come from a program that lies.

extension SocketAddress {
  /// Passes the address to a system call, as a `sockaddr` with its exact length. Allocates nothing.
  ///
  /// - Parameter body: Receives a pointer that is valid until it returns.
  public func withSockaddr<R, E: Error>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws(E) -> R
  ) throws(E) -> R {
    switch self {
    case .ip(.v4(let address), let port):
      var value = sockaddr_in()
      value.sin_family = sa_family_t(AF_INET)
      value.sin_port = port.bigEndian
      value.sin_addr.s_addr = address.rawValue.bigEndian
      return try unsafe Self.lend(&value, socklen_t(MemoryLayout<sockaddr_in>.size), body)
    case .ip(.v6(let address), let port):
      var value = sockaddr_in6()
      value.sin6_family = sa_family_t(AF_INET6)
      value.sin6_port = port.bigEndian
      unsafe withUnsafeMutableBytes(of: &value.sin6_addr) { bytes in
        unsafe bytes.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
        unsafe bytes.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      value.sin6_scope_id = address.scope
      return try unsafe Self.lend(&value, socklen_t(MemoryLayout<sockaddr_in6>.size), body)
    case .unix(let path):
      var value = sockaddr_un()
      value.sun_family = sa_family_t(AF_UNIX)
      let start = path.kind == .abstract ? 1 : 0
      unsafe withUnsafeMutableBytes(of: &value.sun_path) { bytes in
        for index in path.bytes.indices { unsafe bytes[start + index] = path.bytes[index] }
      }
      return try unsafe Self.lend(&value, Self.length(of: path), body)
    }
  }

  /// The length of the address. It marks the end of an abstract name; a path includes its NUL if there is room for one.
  private static func length(of path: UnixPath) -> socklen_t {
    let used =
      switch path.kind {
      case .unnamed: 0
      case .abstract: 1 + path.bytes.count
      case .path: min(path.bytes.count + 1, MemoryLayout<sockaddr_un>.size - pathOffset)
      }
    return socklen_t(pathOffset + used)
  }

  private static func lend<T, R, E: Error>(
    _ value: inout T, _ length: socklen_t, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(E) -> R
  ) throws(E) -> R {
    try unsafe withUnsafePointer(to: &value) { (pointer: UnsafePointer<T>) throws(E) -> R in
      try unsafe body(UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), length)
    }
  }

  /// The offset of `sun_path`, which follows the family.
  private static var pathOffset: Int { MemoryLayout<sa_family_t>.size }
}

extension SocketAddress {
  /// Lets a system call write an address (`accept4`, `getsockname`, `getpeername`, `recvfrom`) and reads the result.
  ///
  /// - Parameter body: Receives room for any address, and the length of that room, which it must replace by the length
  ///   that the call reported.
  /// - Returns: The result of `body`, and the address, or nil if the call wrote none that Fin knows.
  static func reading<R, E: Error>(
    _ body: (UnsafeMutablePointer<sockaddr>, inout socklen_t) throws(E) -> R
  ) throws(E) -> (result: R, address: SocketAddress?) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = try unsafe withUnsafeMutablePointer(to: &storage) {
      (pointer: UnsafeMutablePointer<sockaddr_storage>) throws(E) -> R in
      try unsafe body(UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), &length)
    }
    return (result, unsafe SocketAddress(storage: &storage, length: length))
  }

  /// Reads an address from storage that a system call has filled.
  ///
  /// - Parameter length: The length that the call reported. A length above the storage's size means that the address
  ///   was truncated: nil.
  init?(storage: UnsafePointer<sockaddr_storage>, length: socklen_t) {
    guard length <= MemoryLayout<sockaddr_storage>.size else { return nil }
    unsafe self.init(raw: UnsafeRawBufferPointer(start: storage, count: Int(length)))
  }

  /// Reads an address of `length` bytes at the pointer, as `getaddrinfo`, `getifaddrs` and `recvmsg` return it.
  ///
  /// It is `nil` when the bytes are too few or too many for their family, or are of a family that Fin does not know.
  /// `sin6_flowinfo` is not kept.
  public init?(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
    guard length <= MemoryLayout<sockaddr_storage>.size else { return nil }
    unsafe self.init(raw: UnsafeRawBufferPointer(start: address, count: Int(length)))
  }

  /// Reads an address from exactly these bytes, which need no alignment. Nil if they are too few for their family, hold
  /// a Unix name longer than `sun_path`, or are of a family that Fin does not know.
  ///
  /// `sin6_flowinfo` is not kept.
  init?(raw: UnsafeRawBufferPointer) {
    guard raw.count >= Self.pathOffset else { return nil }
    switch CInt(unsafe raw.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET:
      guard raw.count >= MemoryLayout<sockaddr_in>.size else { return nil }
      let value = unsafe raw.loadUnaligned(as: sockaddr_in.self)
      let address = IPv4Address(rawValue: UInt32(bigEndian: value.sin_addr.s_addr))
      self = .ip(.v4(address), port: UInt16(bigEndian: value.sin_port))
    case AF_INET6:
      guard raw.count >= MemoryLayout<sockaddr_in6>.size else { return nil }
      var value = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
      let (high, low) = unsafe withUnsafeBytes(of: &value.sin6_addr) { bytes in
        unsafe (bytes.loadUnaligned(as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      }
      let address = IPv6Address(
        high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), scope: value.sin6_scope_id)
      self = .ip(.v6(address), port: UInt16(bigEndian: value.sin6_port))
    case AF_UNIX:
      guard let path = unsafe UnixPath(raw: UnsafeRawBufferPointer(rebasing: raw[Self.pathOffset...])) else {
        return nil
      }
      self = .unix(path)
    default:
      return nil
    }
  }
}

extension UnixPath {
  /// Reads the contents of `sun_path`, up to the reported length.
  fileprivate init?(raw: UnsafeRawBufferPointer) {
    let capacity = MemoryLayout<sockaddr_un>.size - MemoryLayout<sa_family_t>.size
    guard let first = unsafe raw.first else {
      self = .unnamed
      return
    }
    guard first != 0 else {
      guard raw.count <= capacity else { return nil }
      self.init(kind: .abstract, bytes: unsafe Array(raw.dropFirst()))
      return
    }
    // A path of 108 bytes has no room for its NUL; the kernel then adds one behind `sun_path` and counts it.
    let path = unsafe Array(raw.prefix { $0 != 0 })
    guard path.count <= capacity else { return nil }
    self.init(kind: .path, bytes: path)
  }
}
