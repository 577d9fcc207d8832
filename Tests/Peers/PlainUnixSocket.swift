import Glibc

/// Plain Unix sockets, named by a path, or by "@name" for an abstract name.
extension PlainSocket {
  public static func connected(toUnix name: String) throws(RigError) -> PlainSocket {
    let socket = try PlainSocket(AF_UNIX)
    guard try unsafe withUnixName(name, { unsafe connect(socket.descriptor, $0, $1) }) == 0 else {
      throw .last("connect")
    }
    return socket
  }

  /// Listens on a Unix name. A path outlives the socket; the test removes it.
  public static func listening(onUnix name: String, backlog: CInt = 128) throws(RigError) -> PlainSocket {
    let socket = try PlainSocket(AF_UNIX)
    guard try unsafe withUnixName(name, { unsafe bind(socket.descriptor, $0, $1) }) == 0 else { throw .last("bind") }
    guard listen(socket.descriptor, backlog) == 0 else { throw .last("listen") }
    return socket
  }

  private static func withUnixName(
    _ name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(RigError) -> CInt {
    // sockaddr_un: family, then the path with its NUL, or a NUL and the abstract name without one.
    let path = name.hasPrefix("@") ? [0] + Array(name.utf8.dropFirst()) : Array(name.utf8) + [0]
    guard path.count <= 108 else { throw RigError("\(name) is too long for a Unix name") }
    var bytes: [UInt8] = [0, 0] + path
    return unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe buffer.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
      return unsafe body(buffer.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
    }
  }
}
