internal import CFin
internal import Glibc
public import SystemPackage

/// A reference to a socket, which its owner holds. It has no operations of its own.
@_spi(Fin) public struct SocketReference: Sendable {
  let core: Core
}

/// The properties and operations that every socket has: addresses, options, a phase, a descriptor.
public protocol SocketProtocol: ~Copyable, Sendable {
  /// The reference to the socket that this value owns or shares. Types of other modules cannot conform.
  @_spi(Fin) var reference: SocketReference { get }
  /// The timeouts of calls that pass no `within`; `settimeout` and `gettimeout` in Python.
  var timeouts: Timeouts { get set }
}

extension SocketProtocol where Self: ~Copyable {
  /// The local address: `getsockname(2)`. It is the unspecified address before a bind. Once the socket is closed, it is
  /// the address that was known before, or `nil`.
  public var localAddress: SocketAddress? { reference.core.local }

  /// The address of the peer, as `connect` or `accept` reported it; `nil` for a socket that has no peer.
  public var remoteAddress: SocketAddress? { reference.core.peer }

  /// The socket's current phase.
  public var phase: Phase { reference.core.phase }

  /// Returns the kernel's identifier of the socket, `SO_COOKIE`, which `ss -e` prints after `sk:`.
  public borrowing func cookie() throws(SocketError) -> UInt64 {
    let core = reference.core
    return try core.withAccess(.getOption) { access throws(SocketError) in
      do throws(Errno) { return try Syscalls.cookie(core.number(access)) } catch {
        throw core.error(.getOption, .system(error))
      }
    }
  }

  /// Lends the descriptor to `body`, for a call that Fin does not have. It is not released while `body` runs.
  ///
  /// The body must not close the descriptor, keep it, read `SO_ERROR`, or wait for long. A connect attempt whose
  /// `SO_ERROR` was read by another holder still fails, but cannot report why. A `shutdown(SHUT_WR)` in the body counts
  /// as ``Connection/finishSending()``. On a Unix socket whose peer has finished as well the kernel does not reveal
  /// that shutdown, and a later send throws `.peerClosed` instead of `.finished`. A close of this very socket, called
  /// in the body, ends it as usual and returns; the descriptor is released when the body returns. If another thread is
  /// closing the socket already, such a close does not wait, and its report says ``Ending/background``.
  public borrowing func withDescriptor<R>(_ body: (FileDescriptor) -> R) throws(SocketError) -> R {
    let core = reference.core
    return try core.withAccess(.getOption) { core.lend($0, to: body) }
  }

  /// Reads an option: `getsockopt(2)`.
  ///
  /// - Throws: `.system(ENOPROTOOPT)` when this kind of socket has no such option; `.invalid` for `SO_ERROR`, which
  ///   `failure()` reads.
  public borrowing func option<Value>(_ option: SocketOption<Value>) throws(SocketError) -> Value {
    let core = reference.core
    return try core.withAccess(.getOption) { access throws(SocketError) in
      try core.option(option, access)
    }
  }

  /// Sets an option, `setsockopt(2)`, and reads it back.
  ///
  /// - Returns: the value that the kernel set, which for buffers differs from the one requested. For a raw option that
  ///   the kernel can set and not read: `value`.
  /// - Throws: `.invalid` when the value is out of the option's range, and for `SO_LINGER`, which belongs to the close;
  ///   `.system` with the error of the kernel: `ENOPROTOOPT`, or `EOPNOTSUPP` on a Unix socket, when this kind of
  ///   socket has no such option.
  @discardableResult
  public borrowing func set<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketError) -> Value {
    let core = reference.core
    return try core.withAccess(.setOption) { access throws(SocketError) in
      try core.set(option, to: value, access)
      do throws(SocketError) { return try core.option(option, access) } catch {
        // The option is set. An error would say that it is not.
        if !option.isReadable, case .system = error.cause { return value }
        throw error
      }
    }
  }
}

/// A stream socket, which has further queries, most of them for TCP.
public protocol StreamSocketProtocol: SocketProtocol, ~Copyable {}

extension StreamSocketProtocol where Self: ~Copyable {
  /// Returns the state of the connection, as the kernel reports it; `nil` when this is not TCP.
  public borrowing func tcpState() throws(SocketError) -> TCPState? { try tcpInfo()?.state }

  /// Returns the kernel's information about the connection (`TCP_INFO`); `nil` when this is not TCP.
  public borrowing func tcpInfo() throws(SocketError) -> TCPInfo? {
    let core = reference.core
    guard core.isTCP else { return nil }
    return try core.withAccess(.tcpInfo) { access throws(SocketError) in
      do throws(Errno) { return try TCPInfo.read(core.number(access)) } catch {
        throw core.error(.tcpInfo, .system(error))
      }
    }
  }

  /// Returns the number of bytes accepted by `send` and not acknowledged by now: `SIOCOUTQ` without the FIN.
  public borrowing func bytesUnacknowledged() throws(SocketError) -> Int {
    let core = reference.core
    return try core.withAccess(.getOption) { core.unacknowledged($0) }
  }

  /// Returns the error that has ended this connection; `nil` if none has. Every later call returns the same error.
  ///
  /// It reads `SO_ERROR` and records the result, so that this call takes no error away from a receiver.
  public borrowing func failure() throws(SocketError) -> SocketError.Cause? {
    let core = reference.core
    return try core.withAccess(.getOption) { core.takeError($0) }
  }
}

extension Core {
  /// In bytes. No socket option comes near this size.
  private static let largestOption = 64 << 20

  func option<Value>(_ option: SocketOption<Value>, _ access: Access) throws(SocketError) -> Value {
    // Reading SO_ERROR clears it, so it is only read where the error is recorded as the terminal state.
    if option.level == SOL_SOCKET, option.name == SO_ERROR {
      throw error(.getOption, .invalid("read SO_ERROR with failure(), which keeps the error"))
    }
    guard (0...Core.largestOption).contains(option.size) else {
      throw error(.getOption, .invalid("cannot read \(option.size) bytes of \(option.label)"))
    }
    do throws(Errno) {
      var length = 0
      var failure: Errno?
      let bytes = [UInt8](capacity: option.size) { output in
        unsafe output.withUnsafeMutableBufferPointer { buffer, count in
          unsafe buffer.initialize(repeating: 0)
          do throws(Errno) {
            length = try unsafe Syscalls.option(
              number(access), option.level, option.name, into: UnsafeMutableRawBufferPointer(buffer))
          } catch { failure = error }
          count = min(length, buffer.count)
        }
      }
      if let failure { throw failure }
      guard let value = option.decode(bytes) else {
        throw Errno.invalidArgument
      }
      return value
    } catch {
      throw self.error(.getOption, .system(error), note: option.label)
    }
  }

  func set<Value>(_ option: SocketOption<Value>, to value: Value, _ access: Access) throws(SocketError) {
    guard let bytes = option.encode(value) else {
      throw error(.setOption, .invalid("\(value) is out of the range of \(option.label)"))
    }
    guard bytes.count <= Core.largestOption else {
      throw error(.setOption, .invalid("cannot set \(option.label) to \(bytes.count) bytes"))
    }
    // SO_LINGER with a time blocks close, even on a non-blocking descriptor; the close policies do what it promises.
    if option.level == SOL_SOCKET, option.name == SO_LINGER {
      throw error(.setOption, .invalid("SO_LINGER cannot be set: the policies of close(_:) replace it"))
    }
    do throws(Errno) {
      try Syscalls.setOption(number(access), option.level, option.name, bytes)
      for core in further?.members ?? [] {
        try Syscalls.setOption(core.number(access), option.level, option.name, bytes)
      }
      // The value is the program's own from now on, and no send changes it.
      if option.level == CInt(IPPROTO_TCP), option.name == CInt(FIN_TCP_USER_TIMEOUT) {
        connectionState.update { $0.userTimeout = .fixed }
      }
    } catch {
      throw self.error(.setOption, .system(error), note: option.label)
    }
  }
}
