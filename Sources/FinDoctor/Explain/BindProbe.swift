internal import CFin
internal import FinBase
internal import Glibc

/// The kernel's answer to a trial: a socket of our own was bound, never listened, and was closed at once.
package struct BindProbe: Hashable, Sendable {
  /// The result of one bind.
  package enum Answer: Hashable, Sendable {
    /// The bind succeeded.
    case succeeded
    /// The kernel refused, with the error of this name: `EADDRINUSE`.
    case refused(String)
    /// The bind was not tried.
    case untried
  }

  /// The result for the address alone, without a port: whether it is an address of this machine.
  package var address: Answer
  /// The result without any option.
  package var plain: Answer
  /// The result with `SO_REUSEADDR`.
  package var reusing: Answer

  /// Creates a result; by default nothing was tried.
  package init(address: Answer = .untried, plain: Answer = .untried, reusing: Answer = .untried) {
    self.address = address
    self.plain = plain
    self.reusing = reusing
  }

  /// Whether a bind for a moment takes nothing away from a program that has the port.
  ///
  /// A port that connect chose is shared by connections to several destinations. When a program binds it, older kernels
  /// stop sharing it for as long as one of these connections lasts. With UDP, the socket that binds last receives
  /// the datagrams.
  /// - Parameters:
  ///   - request: The bind to judge.
  ///   - census: The census to look in.
  package static func isHarmless(_ request: BindRequest, in census: Census) -> Bool {
    let used = census.sockets.contains {
      $0.localPort == request.port && $0.namespace == request.namespace && $0.transport == request.transport
    }
    if !used { return true }
    let limits = census.namespaces[Int(request.namespace)].limits
    return request.transport == .tcp && limits.ephemeralPorts != nil && !limits.isEphemeral(request.port)
  }

  /// Binds a socket for a moment and reports the result.
  ///
  /// The address is always tried, without a port, which takes nothing away from another program. Blocks for a moment:
  /// call it outside of tasks.
  /// - Parameters:
  ///   - request: The bind to try.
  ///   - namespace: The namespace of that request; the process must be allowed to enter it.
  ///   - withPort: Whether to try the port as well, see ``isHarmless(_:in:)``.
  /// - Returns: Nil when the namespace can no longer be entered.
  package static func run(_ request: BindRequest, in namespace: Namespace, withPort: Bool) -> BindProbe? {
    let place = namespace.isOwn ? nil : NamespacePlace.finding(namespace.inode)
    if place == nil, !namespace.isOwn { return nil }
    let trying = JoinableThread { () -> BindProbe? in
      if let place, (try? place.enter()) == nil { return nil }
      var trial = BindProbe(address: attempt(request, port: 0))
      guard withPort, trial.address == .succeeded else { return trial }
      // `SO_REUSEADDR` is tried first, because it changes less for other sockets.
      if request.transport == .tcp { trial.reusing = attempt(request, port: request.port, reusing: true) }
      trial.plain = attempt(request, port: request.port)
      return trial
    }
    return trying.join() ?? nil
  }

  private static func attempt(_ request: BindRequest, port: UInt16, reusing: Bool = false) -> Answer {
    let address = request.address
    let type = request.transport == .tcp ? CInt(SOCK_STREAM.rawValue) : CInt(SOCK_DGRAM.rawValue)
    let made = Glibc.socket(address.isIPv6 ? AF_INET6 : AF_INET, type | CInt(FIN_SOCK_CLOEXEC), 0)
    guard made >= 0 else { return .refused(KernelError.last.name) }
    let socket = Descriptor(owning: made)
    func set(_ level: CInt, _ option: CInt, _ value: CInt) {
      var value = value
      unsafe setsockopt(socket.number, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }
    if address.isIPv6 { set(CInt(IPPROTO_IPV6), IPV6_V6ONLY, request.isIPv6Only ? 1 : 0) }
    if reusing { set(SOL_SOCKET, SO_REUSEADDR, 1) }
    // With this option, bind checks the address and takes no port.
    if port == 0 { set(CInt(IPPROTO_IP), CInt(FIN_IP_BIND_ADDRESS_NO_PORT), 1) }
    let code: CInt
    if address.isIPv6 {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = port.bigEndian
      name.sin6_scope_id = address.interface
      unsafe withUnsafeMutableBytes(of: &name.sin6_addr) { bytes in
        unsafe bytes.storeBytes(of: address.bits.high.bigEndian, as: UInt64.self)
        unsafe bytes.storeBytes(of: address.bits.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      code = unsafe withUnsafeBytes(of: &name) { bytes in
        unsafe bind(
          socket.number, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
      }
    } else {
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_port = port.bigEndian
      name.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.bits.low).bigEndian
      code = unsafe withUnsafeBytes(of: &name) { bytes in
        unsafe bind(
          socket.number, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
      }
    }
    return code == 0 ? .succeeded : .refused(KernelError.last.name)
  }
}
