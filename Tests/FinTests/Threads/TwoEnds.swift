import Peers
import Synchronization
import Testing

@_spi(Fin) @testable import Fin

/// A connection whose two ends are both shared and in this process.
enum Medium: String, CaseIterable, Sendable {
  /// TCP over loopback.
  case tcp
  /// A pair of Unix streams.
  case pair
  #if TLS
  /// TCP over loopback, with both ends secured.
  case secured
  #endif

  /// The media without a layer of their own.
  static let allCases: [Medium] = [.tcp, .pair]

  /// A connection over TCP, and a secured one where this machine can make one.
  static var plainAndSecured: [Medium] {
    #if TLS
    if SecuredMedium.isPossible { return [.tcp, .secured] }
    #endif
    return [.tcp]
  }

  func open(timeouts: Timeouts = .default) throws -> (SharedConnection, SharedConnection) {
    switch self {
    case .tcp:
      let listener = try Listener.bind(.loopback(port: 0))
      let first = try Connection.connect(to: listener.localAddress, timeouts: timeouts)
      let second = try listener.accept(within: .seconds(10))
      listener.close()
      return (first.share(), second.share())
    case .pair:
      let pair = try Connection.pair(timeouts: timeouts)
      return (pair.first.share(), pair.second.share())
    #if TLS
    case .secured:
      let pair = try SecuredMedium.pair(timeouts: timeouts)
      return (pair.first.share(), pair.second.share())
    #endif
    }
  }
}

/// Runs `body` on a thread of its own, and returns when it waits in the kernel for the first time.
func waiting<Value: Sendable>(
  file: String = #fileID, line: Int = #line, _ body: @escaping @Sendable () throws -> Value
) throws -> Joining<Value> {
  let waits = Parker()
  let thread = onThread(file: file, line: line) {
    // By the time an operation calls poll, it has entered the gate and is in the list of parked waiters.
    try Seam.$script.withValue(Script(.first(.poll, .before { waits.wake() })), operation: body)
  }
  guard waits.park(until: .init(after: .seconds(10))) else { throw RigError("\(file):\(line) never had to wait") }
  return thread
}

extension SharedConnection {
  /// Sends until the kernel accepts no more, and will not soon: nothing is in flight that makes room when it arrives,
  /// and the peer's window is closed. The last part of a window is only filled by the first window probe, 200 ms later.
  ///
  /// - Returns: the number of bytes accepted.
  @discardableResult
  func fill() throws -> Int {
    var total = 0
    while true {
      let isFull = try isFull
      let more = try sendAllThatFits()
      total += more
      if isFull, more == 0 { return total }
      try eventually(within: .seconds(20), "nothing is under way, and the window shut") { try self.isFull }
    }
  }

  private var isFull: Bool {
    get throws {
      guard reference.core.isTCP else { return true }
      let info = try TCPInfo.read(reference.core.number)
      return info.segmentsUnacknowledged == 0 && info.peerWindow ?? 0 == 0
    }
  }

  /// Sends until the kernel accepts no more at this moment.
  func sendAllThatFits() throws -> Int {
    let block = Pattern.bytes(from: 0, count: 60_000)
    var total = 0
    while true {
      do { total += try unsafe sendSome(block.span.bytes, within: .zero) } catch {
        guard error.cause == .timedOut else { throw error }
        return total
      }
    }
  }

  /// Reads to EOF.
  func receiveAll(within: Timeout = .seconds(20)) throws -> [UInt8] {
    var all: [UInt8] = []
    while let more = try receive(upTo: 1 << 18, within: within) { all += more }
    return all
  }

  var gate: Gate.Snapshot { reference.core.gate.snapshot }
}

/// Bytes in which a lost, duplicated or misplaced piece is detectable.
enum Pattern {
  /// A block whose length divides no buffer size.
  private static let block: [UInt8] = {
    var random = SeededRandom(seed: 7)
    return (0..<65_521).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }()

  static func bytes(from start: Int, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    var position = start % block.count
    while bytes.count < count {
      bytes += block[position..<min(block.count, position + count - bytes.count)]
      position = 0
    }
    return bytes
  }
}

/// The content of one `send`: the stream's id, the message number, the length, and bytes unique to this message.
struct Message: Hashable, Sendable {
  let stream: UInt64
  let number: UInt64
  /// The total number of bytes, including the 24 of the header.
  let length: Int

  static let headerSize = 24

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for word in [stream, number, UInt64(length)] {
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift))) }
    }
    let start = Int((stream &* 31 &+ number &* 7919) % 65_521)
    return bytes + Pattern.bytes(from: start, count: length - Message.headerSize)
  }

  init(stream: UInt64, number: UInt64, length: Int) {
    self.stream = stream
    self.number = number
    self.length = length
  }

  /// Reads a header; `nil` when it is incomplete.
  init?(header bytes: ArraySlice<UInt8>) {
    guard bytes.count >= Message.headerSize else { return nil }
    func word(_ index: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[bytes.startIndex + index * 8 + $1]) << UInt64($1 * 8) }
    }
    guard let length = Int(exactly: word(2)), (Message.headerSize...(1 << 24)).contains(length) else { return nil }
    self.init(stream: word(0), number: word(1), length: length)
  }
}

/// A counter that threads share.
final class Tally: Sendable {
  private let number = Atomic<Int>(0)
  private let highest = Atomic<Int>(0)

  var value: Int { number.load(ordering: .acquiring) }
  /// The highest value so far.
  var most: Int { highest.load(ordering: .acquiring) }

  @discardableResult
  func add(_ amount: Int = 1) -> Int {
    let value = number.add(amount, ordering: .acquiringAndReleasing).newValue
    highest.max(value, ordering: .acquiringAndReleasing)
    return value
  }
}
