import Glibc
import Peers
import Synchronization
import SystemPackage
import Testing

@testable import Fin

/// The kinds of stream that a promise holds for.
enum StreamKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case ipv4 = "TCP over IPv4"
  case ipv6 = "TCP over IPv6"
  case unix = "a Unix stream"
  case pair = "a pair"
  #if TLS
  case secured = "TLS over TCP over IPv4"
  #endif

  /// The kinds without a layer of their own.
  static let allCases: [StreamKind] = [.ipv4, .ipv6, .unix, .pair]

  var testDescription: String { rawValue }

  /// The kinds that this machine supports.
  static let all: [StreamKind] = allCases.filter { unsafe $0 != .ipv6 || access("/proc/net/if_inet6", R_OK) == 0 }
  /// The same, and a secured one where this machine can make one.
  static var plainAndSecured: [StreamKind] {
    #if TLS
    if SecuredMedium.isPossible { return all + [.secured] }
    #endif
    return all
  }
  static let tcp: [StreamKind] = all.filter { $0 == .ipv4 || $0 == .ipv6 }

  private static let names = Atomic<Int>(0)

  /// An unused address to listen on.
  var freshAddress: SocketAddress {
    get throws {
      switch self {
      case .ipv4: return .loopback(port: 0)
      #if TLS
      case .secured: return .loopback(port: 0)
      #endif
      case .ipv6: return .loopback6(port: 0)
      case .unix, .pair:
        let number = StreamKind.names.add(1, ordering: .relaxed).newValue
        return try .unix("@fin-io-\(getpid())-\(number)")
      }
    }
  }

  /// Both ends of one connection. The first is the one that connected.
  func connected(timeouts: Timeouts = .default) throws -> ConnectionPair {
    if self == .pair { return try Connection.pair(timeouts: timeouts) }
    #if TLS
    if self == .secured { return try SecuredMedium.pair(timeouts: timeouts) }
    #endif
    let listener = try Listener.bind(try freshAddress, timeouts: timeouts)
    let client = try Connection.connect(to: listener.localAddress, timeouts: timeouts)
    let server = try listener.accept(within: .seconds(10))
    listener.close()
    return ConnectionPair(first: client, second: server)
  }
}

/// A Fin connection, with a plain socket as its peer.
struct Strangers: ~Copyable {
  var ours: Connection
  var plain: PlainSocket

  static func connected(timeouts: Timeouts = .default) throws -> Strangers {
    let listener = try Listener.bind(.loopback(port: 0), timeouts: timeouts)
    let plain = try PlainSocket.connected(to: "127.0.0.1", port: listener.localAddress.port ?? 0)
    let ours = try listener.accept(within: .seconds(10))
    listener.close()
    return Strangers(ours: ours, plain: plain)
  }
}

/// The error that `body` throws.
///
/// - Throws: `RigError` when `body` throws none.
func refusal<R: ~Copyable>(_ body: () throws(SocketError) -> R) throws -> SocketError {
  do { _ = try body() } catch { return error }
  throw RigError("an error was expected, and none was thrown")
}

/// Concatenates the pieces, one whole piece at a time: `joined()` walks byte by byte, which takes a second for a few
/// megabytes in a debug build.
func joined(_ pieces: [[UInt8]]) -> [UInt8] { pieces.reduce(into: []) { $0 += $1 } }

/// This many bytes, without a pattern that would survive a shift or a swap.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var dice = Dice(seed: seed)
  var bytes = [UInt8](repeating: 0, count: count)
  unsafe bytes.withUnsafeMutableBytes { bytes in
    var index = 0
    while index + 8 <= count {
      unsafe bytes.storeBytes(of: dice.next(), toByteOffset: index, as: UInt64.self)
      index += 8
    }
    while index < count {
      unsafe bytes[index] = UInt8(truncatingIfNeeded: dice.next())
      index += 1
    }
  }
  return bytes
}

/// SplitMix64: random numbers from a seed, so that a failure can be reproduced.
struct Dice: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

/// The time that `body` took.
func elapsed(_ body: () throws -> Void) rethrows -> Duration {
  let start = Fin.Instant.now
  try body()
  return start.elapsed
}

/// Runs `body` with a script in force. Unlike `withValue`, it can return a noncopyable owner.
func scripted<R: ~Copyable>(_ script: Script, _ body: () throws -> R) throws -> R {
  var result: R?
  var failure: (any Error)?
  Seam.$script.withValue(script) {
    do { result = try body() } catch { failure = error }
  }
  if let failure { throw failure }
  return result.take()!
}
