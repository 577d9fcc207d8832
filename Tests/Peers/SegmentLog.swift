/// The segments between the kernel and a hand-made peer, in order.
public struct SegmentLog: Sendable, CustomStringConvertible {
  public enum Side: String, Sendable { case kernel, peer }

  public struct Entry: Sendable, CustomStringConvertible {
    /// The time since the peer was made.
    public let time: Duration
    /// The sender.
    public let side: Side
    public let flags: Segment.Flags
    public let sequence: UInt32
    public let acknowledgement: UInt32
    public let window: UInt16
    public let length: Int
    public let kernelPort: UInt16
    public let peerPort: UInt16

    public var description: String {
      let milliseconds = time.nanoseconds / 1_000_000
      return "\(milliseconds) ms \(side) [\(kernelPort)-\(peerPort)] \(flags) seq=\(sequence) ack=\(acknowledgement) "
        + "win=\(window) len=\(length)"
    }
  }

  public private(set) var entries: [Entry] = []

  mutating func add(_ segment: Segment, from side: Side, at time: Duration) {
    entries.append(
      Entry(
        time: time, side: side, flags: segment.flags, sequence: segment.sequence,
        acknowledgement: segment.acknowledgement, window: segment.window, length: segment.payload.count,
        kernelPort: side == .kernel ? segment.sourcePort : segment.destinationPort,
        peerPort: side == .kernel ? segment.destinationPort : segment.sourcePort))
  }

  /// The number of segments with all these flags that one side sent, including retransmissions.
  public func count(_ flags: Segment.Flags, from side: Side = .kernel) -> Int {
    entries.count { $0.side == side && $0.flags.isSuperset(of: flags) }
  }

  /// The number of distinct payload bytes that one side sent; retransmitted bytes count once.
  public func distinctBytes(from side: Side = .kernel) -> Int {
    var spans: [UInt64: [(start: UInt32, length: Int)]] = [:]
    for entry in entries where entry.side == side && entry.length > 0 {
      spans[UInt64(entry.kernelPort) << 16 | UInt64(entry.peerPort), default: []].append(
        (entry.sequence, entry.length))
    }
    return spans.values.reduce(0) { total, spans in
      let origin = spans[0].start
      let offsets = spans.map { span -> (Int, Int) in
        let start = Int(Int32(bitPattern: span.start &- origin))
        return (start, start + span.length)
      }
      var end = Int.min
      var bytes = 0
      for (start, stop) in offsets.sorted(by: { $0.0 < $1.0 }) where stop > end {
        bytes += stop - max(start, end)
        end = stop
      }
      return total + bytes
    }
  }

  public var last: Entry? { entries.last }

  /// One line per segment, for the message of a failed expectation.
  public var description: String { entries.map(\.description).joined(separator: "\n") }
}
