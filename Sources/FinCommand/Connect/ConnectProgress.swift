/// The line on a terminal that says how much has moved, and how fast. It appears once the data is bulk, and goes with
/// the end.
struct ConnectProgress: ~Copyable {
  /// From this many bytes on, after the first second, data is bulk.
  private static let bulk = 1 << 20
  private static let interval: Int64 = 500_000_000

  /// Whether the received bytes go to a terminal too, where they and the line would garble each other.
  private let sharesTerminal = ByteStream.output.isTerminal
  private var last = (moved: 0, at: Int64(0))
  private var line: ProgressLine

  init(isWanted: Bool) { line = ProgressLine(isWanted: isWanted) }

  /// The nanoseconds until the next line; nil if there will be none.
  var pause: Int64? { line.isWanted ? Self.interval : nil }

  /// Shows the line, if it is time.
  mutating func show(_ counts: Conversation.Counts, _ now: Int64) {
    guard line.isWanted, now - last.at >= Self.interval else { return }
    let rate = Double(counts.moved - last.moved) * 1e9 / Double(now - last.at)
    last = (counts.moved, now)
    guard counts.moved >= Self.bulk, now >= 1_000_000_000, !sharesTerminal || counts.received == 0 else { return }
    line.replace(
      "\(Phrase.size(Double(counts.sent))) sent, \(Phrase.size(Double(counts.received))) received, "
        + "\(Phrase.size(rate))/s")
  }

  /// Removes the line.
  consuming func clear() { line.clear() }
}
