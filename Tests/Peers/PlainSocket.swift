import CPeers
import Glibc

/// A socket used through plain C calls: a peer that is not Fin, and the control of an experiment.
///
/// Receives and sends give up after five seconds with `EAGAIN`, so that no test hangs. It is closed with its owner.
public struct PlainSocket: ~Copyable, Sendable {
  public let descriptor: CInt

  init(_ family: CInt, _ kind: CInt = CInt(SOCK_STREAM.rawValue)) throws(RigError) {
    descriptor = socket(family, kind | CInt(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .last("socket") }
    setTimeouts(.seconds(5))
  }

  /// Takes ownership of a descriptor.
  public init(adopting descriptor: CInt) {
    self.descriptor = descriptor
    setTimeouts(.seconds(5))
  }

  deinit { Glibc.close(descriptor) }

  /// Gives up ownership and returns the open descriptor.
  public consuming func detach() -> CInt {
    let descriptor = descriptor
    discard self
    return descriptor
  }

  /// Closes now, whatever is unread or unsent.
  public consuming func close() {}

  /// Closes with a RST: `SO_LINGER` with a time of 0.
  public consuming func abort() {
    var value = linger(l_onoff: 1, l_linger: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
  }

  /// Lets receives and sends wait for this time instead, where a busy machine may delay the peer.
  public func setTimeouts(_ limit: Duration) {
    var time = timeval(tv_sec: Int(limit.components.seconds), tv_usec: Int(limit.nanoseconds % 1_000_000_000 / 1000))
    let size = socklen_t(MemoryLayout<timeval>.size)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
  }
}

/// Making connections.
extension PlainSocket {
  /// Connects to a numeric address.
  ///
  /// - Throws: `RigError` with the error number of `connect`; `EINPROGRESS` when `limit` passes.
  public static func connected(
    to address: String, port: UInt16, within limit: Duration = .seconds(5)
  ) throws(RigError) -> PlainSocket {
    let bytes = try addressBytes(address)
    let socket = try PlainSocket(bytes.count == 4 ? AF_INET : AF_INET6)
    socket.setTimeouts(limit)
    let code = unsafe withName(bytes, port) { unsafe connect(socket.descriptor, $0, $1) }
    guard code == 0 else { throw .last("connect") }
    socket.setTimeouts(.seconds(5))
    return socket
  }

  /// Binds to a numeric address and listens.
  ///
  /// - Parameter port: 0 lets the kernel choose; the property `port` is the chosen one.
  public static func listening(
    on address: String = "127.0.0.1", port: UInt16 = 0, backlog: CInt = 128
  ) throws(RigError) -> PlainSocket {
    let bytes = try addressBytes(address)
    let socket = try PlainSocket(bytes.count == 4 ? AF_INET : AF_INET6)
    socket.setOption(SOL_SOCKET, SO_REUSEADDR, 1)
    guard unsafe withName(bytes, port, { unsafe bind(socket.descriptor, $0, $1) }) == 0 else { throw .last("bind") }
    guard listen(socket.descriptor, backlog) == 0 else { throw .last("listen") }
    return socket
  }

  public func accept() throws(RigError) -> PlainSocket {
    let accepted = peers_accept(descriptor)
    guard accepted >= 0 else { throw .last("accept") }
    return PlainSocket(adopting: accepted)
  }

  /// The local port.
  public var port: UInt16 {
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = unsafe withUnsafeMutableBytes(of: &name) { bytes in
      unsafe getsockname(descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    guard code == 0 else { return 0 }
    return unsafe withUnsafeBytes(of: name) { unsafe UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
  }

  private static func withName(
    _ address: [UInt8], _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) -> CInt {
    // sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address, scope.
    let isV4 = address.count == 4
    var bytes = [UInt8](repeating: 0, count: isV4 ? 16 : 28)
    bytes[2] = UInt8(port >> 8)
    bytes[3] = UInt8(truncatingIfNeeded: port)
    bytes.replaceSubrange(isV4 ? 4..<8 : 8..<24, with: address)
    return unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe buffer.storeBytes(of: sa_family_t(isV4 ? AF_INET : AF_INET6), as: sa_family_t.self)
      return unsafe body(buffer.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(buffer.count))
    }
  }
}

/// Sending and receiving.
extension PlainSocket {
  /// Sends all the bytes.
  public func send(_ bytes: [UInt8]) throws(RigError) {
    var sent = 0
    while sent < bytes.count {
      let put = unsafe bytes[sent...].withUnsafeBytes {
        unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
      }
      if put < 0, errno == EINTR { continue }
      guard put >= 0 else { throw .last("send") }
      sent += put
    }
  }

  /// One `recv`: the bytes that are available, or empty at EOF.
  public func receive(upTo count: Int = 65536) throws(RigError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    while true {
      let got = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, count, 0) }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw .last("recv") }
      return Array(bytes.prefix(got))
    }
  }

  /// Receives everything until EOF.
  public func receiveAll() throws(RigError) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let more = try receive()
      if more.isEmpty { return all }
      all += more
    }
  }

  /// `shutdown` with `SHUT_WR`.
  public func finishSending() throws(RigError) {
    guard shutdown(descriptor, CInt(SHUT_WR)) == 0 else { throw .last("shutdown") }
  }
}

/// Kernel state and options of the socket.
extension PlainSocket {
  /// `SIOCOUTQ`: bytes the peer has not acknowledged, and one more for a FIN.
  public var outgoingQueue: Int {
    var bytes: CInt = 0
    return unsafe peers_outgoing_queue(descriptor, &bytes) == 0 ? Int(bytes) : -1
  }

  /// `SIOCINQ`: bytes received and not yet read.
  public var incomingQueue: Int {
    var bytes: CInt = 0
    return unsafe peers_incoming_queue(descriptor, &bytes) == 0 ? Int(bytes) : -1
  }

  /// The state according to `TCP_INFO`.
  public var state: KernelState? {
    var info = [UInt8](repeating: 0, count: 104)
    var length = socklen_t(info.count)
    guard unsafe getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_INFO, &info, &length) == 0 else { return nil }
    return KernelState(number: info[0])
  }

  /// `SO_ERROR`: the pending error number. Reading it clears it.
  public var pendingError: CInt { option(SOL_SOCKET, SO_ERROR) }

  public func setOption(_ level: CInt, _ name: CInt, _ value: CInt) {
    var value = value
    unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<CInt>.size))
  }

  public func option(_ level: CInt, _ name: CInt) -> CInt {
    var value: CInt = -1
    var length = socklen_t(MemoryLayout<CInt>.size)
    unsafe getsockopt(descriptor, level, name, &value, &length)
    return value
  }
}
