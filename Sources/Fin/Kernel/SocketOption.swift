internal import CFin
internal import Glibc

/// A socket option with the type and the unit of its value: `getsockopt(2)`, `setsockopt(2)`.
///
/// ```swift
/// try connection.set(.userTimeout, to: .seconds(5))
/// let buffer = try connection.option(.receiveBuffer)
/// ```
/// Any option without a name here is accessible through ``integer(_:level:name:)`` or ``raw(_:level:name:size:)``; the
/// kernel's answer is checked in the same way.
public struct SocketOption<Value: Sendable>: Sendable {
  /// The C name, for messages.
  public let label: String
  let level: CInt
  let name: CInt
  let size: Int
  /// The bytes of a value; `nil` when it is out of range.
  let encode: @Sendable (Value) -> [UInt8]?
  /// The value of the kernel's answer; `nil` when it has the wrong length.
  let decode: @Sendable ([UInt8]) -> Value?
  /// Whether every kernel that can set the option can also read it.
  var isReadable = true
}

/// Decodes an integer as the kernel lays it out; `nil` for the wrong number of bytes.
func kernelInteger(_ bytes: [UInt8]) -> CInt? {
  guard bytes.count == 4 else { return nil }
  return CInt(bitPattern: UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24)
}

/// The bytes of an integer as the kernel lays it out.
func kernelBytes(_ value: CInt) -> [UInt8] {
  let value = UInt32(bitPattern: value)
  // Not by `map` over a range, which allocates an array besides the result.
  return [
    UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value >> 16),
    UInt8(truncatingIfNeeded: value >> 24),
  ]
}

/// Converts a duration to whole units of this number of nanoseconds, rounded up: a wait of 1.5 ms must not become one
/// of 1 ms.
private func units(_ duration: Duration, of nanoseconds: Int64) -> CInt? {
  guard duration >= .zero, duration <= .nanoseconds(Int64.max) else { return nil }
  let (seconds, attoseconds) = duration.components
  let total = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  let (quotient, remainder) = total.quotientAndRemainder(dividingBy: nanoseconds)
  return CInt(exactly: remainder == 0 ? quotient : quotient + 1)
}

extension SocketOption where Value == Int {
  /// Makes an option whose value is a C `int`.
  public static func integer(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { CInt(exactly: $0).map { kernelBytes($0) } },
      decode: { kernelInteger($0).map(Int.init) })
  }

  /// `SO_SNDBUF`, in bytes. Linux doubles the requested size and clamps it to `net.core.wmem_max`: see the result of
  /// `set`.
  public static var sendBuffer: SocketOption { integer("SO_SNDBUF", level: SOL_SOCKET, name: SO_SNDBUF) }
  /// `SO_RCVBUF`, in bytes. Linux doubles the requested size and clamps it to `net.core.rmem_max`: see the result of
  /// `set`.
  public static var receiveBuffer: SocketOption { integer("SO_RCVBUF", level: SOL_SOCKET, name: SO_RCVBUF) }
  /// `TCP_NOTSENT_LOWAT`, in bytes: `send` waits while more than this is queued and not yet sent.
  public static var notSentLowWater: SocketOption {
    integer("TCP_NOTSENT_LOWAT", level: CInt(IPPROTO_TCP), name: CInt(FIN_TCP_NOTSENT_LOWAT))
  }
  /// `TCP_KEEPCNT`: the number of unanswered probes after which the kernel gives up.
  public static var keepAliveCount: SocketOption {
    integer("TCP_KEEPCNT", level: CInt(IPPROTO_TCP), name: TCP_KEEPCNT)
  }
  /// `SO_TYPE`, which can only be read.
  public static var type: SocketOption { integer("SO_TYPE", level: SOL_SOCKET, name: SO_TYPE) }
}

extension SocketOption where Value == Bool {
  /// Makes an option whose value is a C `int` that means yes or no.
  public static func flag(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { kernelBytes($0 ? 1 : 0) },
      decode: { kernelInteger($0).map { $0 != 0 } })
  }

  /// `TCP_NODELAY`. On for every connection that Fin makes, so that the end of a `send` is not held back until the
  /// peer acknowledges.
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
      encode: { units($0, of: 1_000_000_000).map { kernelBytes($0) } },
      decode: { kernelInteger($0).map { .seconds($0) } })
  }

  static func milliseconds(_ label: String, level: Int32, name: Int32) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: 4,
      encode: { units($0, of: 1_000_000).map { kernelBytes($0) } },
      decode: { kernelInteger($0).map { .milliseconds($0) } })
  }

  /// `TCP_USER_TIMEOUT`, in milliseconds, rounded up: the maximum time that sent bytes may stay unacknowledged,
  /// including behind a closed window.
  public static var userTimeout: SocketOption {
    milliseconds("TCP_USER_TIMEOUT", level: CInt(IPPROTO_TCP), name: CInt(FIN_TCP_USER_TIMEOUT))
  }
  /// `TCP_KEEPIDLE`, in seconds, rounded up: the silence before the first probe.
  public static var keepAliveIdle: SocketOption {
    seconds("TCP_KEEPIDLE", level: CInt(IPPROTO_TCP), name: TCP_KEEPIDLE)
  }
  /// `TCP_KEEPINTVL`, in seconds, rounded up: the time between probes.
  public static var keepAliveInterval: SocketOption {
    seconds("TCP_KEEPINTVL", level: CInt(IPPROTO_TCP), name: TCP_KEEPINTVL)
  }
  /// `TCP_LINGER2`, in seconds, rounded up: the time that the kernel keeps an orphan in FIN-WAIT-2.
  public static var orphanTimeout: SocketOption {
    seconds("TCP_LINGER2", level: CInt(IPPROTO_TCP), name: TCP_LINGER2)
  }
}

extension SocketOption where Value == [UInt8] {
  /// Makes any option, as the bytes that the kernel accepts and returns.
  ///
  /// An option that can be set and not read, such as the membership of a multicast group (`IP_ADD_MEMBERSHIP`), is set
  /// without an error; `set` then returns the bytes that were set.
  /// - Parameters:
  ///   - label: the C name, for messages.
  ///   - level: `SOL_SOCKET`, or a protocol's number.
  ///   - name: the option's number.
  ///   - size: the maximum number of bytes to read, 0 to 64 MiB; reading with any other size throws `.invalid`.
  public static func raw(_ label: String, level: Int32, name: Int32, size: Int) -> SocketOption {
    SocketOption(
      label: label, level: level, name: name, size: size, encode: { $0 }, decode: { $0 }, isReadable: false)
  }
}
