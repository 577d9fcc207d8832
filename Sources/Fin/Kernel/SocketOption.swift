internal import CFin
internal import Glibc

/// A socket option with the type and the unit of its value: `getsockopt(2)`, `setsockopt(2)`.
///
/// ```swift
/// try connection.set(.userTimeout, to: .seconds(5))
/// let buffer = try connection.option(.receiveBuffer)
/// ```
/// Any option without a name here is reached through ``integer(_:level:name:)`` or ``raw(_:level:name:size:)``; the kernel's
/// answer is checked in the same way.
public struct SocketOption<Value: Sendable>: Sendable {
  /// The C name, for messages.
  public let label: String
  let level: CInt
  let name: CInt
  let size: Int
  /// `nil` when the value is out of range.
  let encode: @Sendable (Value) -> [UInt8]?
  /// `nil` when the kernel's answer has the wrong length.
  let decode: @Sendable ([UInt8]) -> Value?
}

/// An integer as the kernel lays it out; `nil` for the wrong number of bytes.
private func integer(_ bytes: [UInt8]) -> CInt? {
  guard bytes.count == 4 else { return nil }
  return CInt(bitPattern: UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24)
}

private func bytes(_ value: CInt) -> [UInt8] {
  let value = UInt32(bitPattern: value)
  return (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
}

/// A duration in whole units of so many nanoseconds, rounded up: a wait of 1.5 ms must not become one of 1 ms.
private func units(_ duration: Duration, of nanoseconds: Int64) -> CInt? {
  guard duration >= .zero, duration <= .nanoseconds(Int64.max) else { return nil }
  let (seconds, attoseconds) = duration.components
  let total = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  let (quotient, remainder) = total.quotientAndRemainder(dividingBy: nanoseconds)
  return CInt(exactly: remainder == 0 ? quotient : quotient + 1)
}

extension SocketOption where Value == Int {
  /// Any option whose value is a C `int`.
  public static func integer(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { CInt(exactly: $0).map { bytes($0) } },
      decode: { Fin.integer($0).map(Int.init) })
  }

  /// `SO_SNDBUF`, bytes. Linux doubles what is asked for, and clamps it to `net.core.wmem_max`: see what `set` returns.
  public static var sendBuffer: SocketOption { integer("SO_SNDBUF", level: SOL_SOCKET, name: SO_SNDBUF) }
  /// `SO_RCVBUF`, bytes. Linux doubles what is asked for, and clamps it to `net.core.rmem_max`: see what `set` returns.
  public static var receiveBuffer: SocketOption { integer("SO_RCVBUF", level: SOL_SOCKET, name: SO_RCVBUF) }
  /// `TCP_NOTSENT_LOWAT`, bytes: `send` waits while more than this has not left the machine.
  public static var notSentLowWater: SocketOption {
    integer("TCP_NOTSENT_LOWAT", level: CInt(IPPROTO_TCP), name: CInt(FIN_TCP_NOTSENT_LOWAT))
  }
  /// `TCP_KEEPCNT`: probes without an answer before the kernel gives up.
  public static var keepAliveCount: SocketOption {
    integer("TCP_KEEPCNT", level: CInt(IPPROTO_TCP), name: TCP_KEEPCNT)
  }
  /// `SO_TYPE`, to be read.
  public static var type: SocketOption { integer("SO_TYPE", level: SOL_SOCKET, name: SO_TYPE) }
}

extension SocketOption where Value == Bool {
  /// Any option whose value is a C `int` that means yes or no.
  public static func flag(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { bytes($0 ? 1 : 0) },
      decode: { Fin.integer($0).map { $0 != 0 } })
  }

  /// `TCP_NODELAY`. On for every connection that Fin makes: a `send` arrives whole, and need not wait for an answer.
  public static var noDelay: SocketOption { flag("TCP_NODELAY", level: CInt(IPPROTO_TCP), name: TCP_NODELAY) }
  /// `SO_KEEPALIVE`. On by default, with the times of ``KeepAlive``.
  public static var keepAlive: SocketOption { flag("SO_KEEPALIVE", level: SOL_SOCKET, name: SO_KEEPALIVE) }
  /// `SO_REUSEADDR`. On for stream listeners; never by default for datagrams, where it lets another user take the port.
  public static var reuseAddress: SocketOption { flag("SO_REUSEADDR", level: SOL_SOCKET, name: SO_REUSEADDR) }
  /// `SO_REUSEPORT`: several listeners of the same user share a port and its load.
  public static var reusePort: SocketOption { flag("SO_REUSEPORT", level: SOL_SOCKET, name: SO_REUSEPORT) }
  /// `SO_BROADCAST`: datagrams may be sent to a broadcast address.
  public static var broadcast: SocketOption { flag("SO_BROADCAST", level: SOL_SOCKET, name: SO_BROADCAST) }
  /// `SO_OOBINLINE`: the urgent byte stays in the stream. Without it `abc` with an urgent `a` reads as `bc`.
  public static var urgentInline: SocketOption { flag("SO_OOBINLINE", level: SOL_SOCKET, name: SO_OOBINLINE) }
  /// `IPV6_V6ONLY`.
  public static var ipv6Only: SocketOption { flag("IPV6_V6ONLY", level: CInt(IPPROTO_IPV6), name: IPV6_V6ONLY) }
}

extension SocketOption where Value == Duration {
  static func seconds(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { units($0, of: 1_000_000_000).map { bytes($0) } },
      decode: { Fin.integer($0).map { .seconds($0) } })
  }

  static func milliseconds(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { units($0, of: 1_000_000).map { bytes($0) } },
      decode: { Fin.integer($0).map { .milliseconds($0) } })
  }

  /// `TCP_USER_TIMEOUT`, in milliseconds, rounded up: how long sent bytes may stay unacknowledged, a closed window included.
  public static var userTimeout: SocketOption {
    milliseconds("TCP_USER_TIMEOUT", level: CInt(IPPROTO_TCP), name: CInt(FIN_TCP_USER_TIMEOUT))
  }
  /// `TCP_KEEPIDLE`, in seconds, rounded up: silence before the first probe.
  public static var keepAliveIdle: SocketOption {
    seconds("TCP_KEEPIDLE", level: CInt(IPPROTO_TCP), name: TCP_KEEPIDLE)
  }
  /// `TCP_KEEPINTVL`, in seconds, rounded up: between probes.
  public static var keepAliveInterval: SocketOption {
    seconds("TCP_KEEPINTVL", level: CInt(IPPROTO_TCP), name: TCP_KEEPINTVL)
  }
  /// `TCP_LINGER2`, in seconds, rounded up: how long the kernel keeps an orphan in FIN-WAIT-2.
  public static var orphanTimeout: SocketOption {
    seconds("TCP_LINGER2", level: CInt(IPPROTO_TCP), name: TCP_LINGER2)
  }
}

extension SocketOption where Value == [UInt8] {
  /// Any option at all, as the bytes the kernel takes and gives.
  ///
  /// - Parameters:
  ///   - label: the C name, for messages.
  ///   - level: `SOL_SOCKET`, or a protocol's number.
  ///   - name: the option's number.
  ///   - size: how many bytes to read at most, 0 to 64 MiB; any other size is refused, with `.invalid`, by who reads.
  public static func raw(_ label: String, level: Int32, name: Int32, size: Int) -> SocketOption {
    SocketOption(label: label, level: level, name: name, size: size, encode: { $0 }, decode: { $0 })
  }
}
