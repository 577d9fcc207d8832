internal import CFin
internal import Glibc
public import SystemPackage

/// What an owner holds. It has no operations of its own.
public struct SocketReference: Sendable {
  let core: Core
}

/// What every socket has: addresses, options, a phase, a number.
public protocol SocketEnd: ~Copyable, Sendable {
  /// What the owner, or the reference, holds.
  var reference: SocketReference { get }
  /// How long waits last when a call does not say; `settimeout` and `gettimeout`.
  var timeouts: Timeouts { get set }
}

extension SocketEnd where Self: ~Copyable {
  /// Where this end is. `getsockname(2)`; the unspecified address before a bind. Once the socket is closed, the address that
  /// was known before, or `nil`.
  public var localAddress: SocketAddress? { reference.core.local }

  /// Where the other end is, as `connect` or `accept` said; `nil` for a socket that has none.
  public var peerAddress: SocketAddress? { reference.core.peer }

  /// Where this socket is in its life.
  public var phase: Phase { reference.core.phase }

  /// The kernel's own name for the socket, `SO_COOKIE`; what `ss -e` prints after `sk:`.
  public borrowing func cookie() throws(SocketError) -> UInt64 {
    let core = reference.core
    return try core.passing(.getOption) { world throws(SocketError) in
      do throws(Errno) { return try Syscalls.cookie(core.number(world)) } catch {
        throw core.error(.getOption, .system(error))
      }
    }
  }

  /// Lends the number, for a call that Fin does not have. It is not released while `body` runs.
  ///
  /// What the body must not do: close the number, keep it, read `SO_ERROR`, or wait for long. An attempt to connect
  /// whose `SO_ERROR` was read by another holder still fails, but cannot say why. A `shutdown(SHUT_WR)` in it counts as
  /// ``Connection/finishSending()``; on a Unix socket whose peer has finished as well the kernel does not tell it, and later a
  /// send says `.peerClosed` instead of `.finished`. A close of this very socket, called in the body, ends it as ever and
  /// returns; the number is released when the body does. Where another thread is closing it already, such a close does not
  /// wait, and its report says ``Ending/background``.
  public borrowing func withDescriptor<R>(_ body: (FileDescriptor) -> R) throws(SocketError) -> R {
    let core = reference.core
    return try core.passing(.getOption) { core.lend($0, to: body) }
  }

  /// Reads an option: `getsockopt(2)`.
  ///
  /// - Throws: `.system(ENOPROTOOPT)` when this kind of socket has no such option.
  public borrowing func option<Value>(_ option: SocketOption<Value>) throws(SocketError) -> Value {
    let core = reference.core
    return try core.passing(.getOption) { world throws(SocketError) in
      try core.option(option, world)
    }
  }

  /// Sets an option: `setsockopt(2)`, and reads it back.
  ///
  /// - Returns: what the kernel made of it, which for buffers is not what was asked for.
  /// - Throws: `.invalid` when the value is out of the option's range; `.system` for what the kernel says: `ENOPROTOOPT`, or
  ///   `EOPNOTSUPP` on a Unix socket, when this kind of socket has no such option.
  @discardableResult
  public borrowing func set<Value>(_ option: SocketOption<Value>, to value: Value) throws(SocketError) -> Value {
    let core = reference.core
    return try core.passing(.setOption) { world throws(SocketError) in
      try core.set(option, to: value, world)
      return try core.option(option, world)
    }
  }
}

/// What a stream over TCP can be asked besides.
public protocol StreamEnd: SocketEnd, ~Copyable {}

extension StreamEnd where Self: ~Copyable {
  /// The state that the kernel says the connection is in; `nil` when this is not TCP.
  public borrowing func tcpState() throws(SocketError) -> TCPState? { try tcpInfo()?.state }

  /// All that the kernel says about the connection; `nil` when this is not TCP.
  public borrowing func tcpInfo() throws(SocketError) -> TCPInfo? {
    let core = reference.core
    guard core.isTCP else { return nil }
    return try core.passing(.tcpInfo) { world throws(SocketError) in
      do throws(Errno) { return try TCPInfo.read(core.number(world)) } catch {
        throw core.error(.tcpInfo, .system(error))
      }
    }
  }

  /// Bytes accepted by `send` and not acknowledged by now; `SIOCOUTQ` without the FIN.
  public borrowing func bytesUnacknowledged() throws(SocketError) -> Int {
    let core = reference.core
    return try core.passing(.getOption) { core.unacknowledged($0) }
  }

  /// What has ended this connection, if something has; once told, told for ever.
  ///
  /// Reads `SO_ERROR` and keeps what it says, so that asking here takes nothing from whoever receives.
  public borrowing func failure() throws(SocketError) -> SocketError.Cause? {
    let core = reference.core
    return try core.passing(.getOption) { core.takeError($0) }
  }
}

extension Core {
  /// Bytes. No option of a socket comes near.
  private static let largestOption = 64 << 20

  func option<Value>(_ option: SocketOption<Value>, _ world: World) throws(SocketError) -> Value {
    // Reading SO_ERROR clears it; then only the latch would know.
    if option.level == SOL_SOCKET, option.name == SO_ERROR {
      throw error(.getOption, .invalid("SO_ERROR is read by failure(), which keeps what it says"))
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
              number(world), option.level, option.name, into: UnsafeMutableRawBufferPointer(buffer))
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

  func set<Value>(_ option: SocketOption<Value>, to value: Value, _ world: World) throws(SocketError) {
    guard let bytes = option.encode(value) else {
      throw error(.setOption, .invalid("\(value) is out of the range of \(option.label)"))
    }
    guard bytes.count <= Core.largestOption else {
      throw error(.setOption, .invalid("cannot set \(option.label) to \(bytes.count) bytes"))
    }
    // SO_LINGER with a time blocks close, even on a non-blocking descriptor; the close policies do what it promises.
    if option.level == SOL_SOCKET, option.name == SO_LINGER {
      throw error(.setOption, .invalid("SO_LINGER belongs to close(_:)"))
    }
    do throws(Errno) {
      try Syscalls.setOption(number(world), option.level, option.name, bytes)
      // From now on the program's own: no send changes it.
      if option.level == CInt(IPPROTO_TCP), option.name == CInt(FIN_TCP_USER_TIMEOUT) {
        latch.update { $0.silence = .fixed }
      }
    } catch {
      throw self.error(.setOption, .system(error), note: option.label)
    }
  }
}
