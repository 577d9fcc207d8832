import FinTerminal
import Glibc

/// The line on a terminal that says how much has moved, and how fast. It appears once the data is bulk, and goes with
/// the end.
struct ConnectProgress: ~Copyable {
  /// From this many bytes on, after the first second, data is bulk.
  private static let bulk = 1 << 20
  private static let interval: Int64 = 500_000_000

  private let isWanted: Bool
  /// Whether the received bytes go to a terminal too, where they and the line would garble each other.
  private let sharesTerminal = ByteStream.output.isTerminal
  private var last = (moved: 0, at: Int64(0))
  private var width = 0

  init(isWanted: Bool) { self.isWanted = isWanted && isatty(STDERR_FILENO) == 1 }

  /// The nanoseconds until the next line; nil if there will be none.
  var pause: Int64? { isWanted ? Self.interval : nil }

  /// Shows the line, if it is time.
  mutating func show(_ counts: Conversation.Counts, _ now: Int64) {
    guard isWanted, now - last.at >= Self.interval else { return }
    let rate = Double(counts.moved - last.moved) * 1e9 / Double(now - last.at)
    last = (counts.moved, now)
    guard counts.moved >= Self.bulk, now >= 1_000_000_000, !sharesTerminal || counts.received == 0 else { return }
    let text =
      "\(Phrase.size(Double(counts.sent))) sent, \(Phrase.size(Double(counts.received))) received, "
      + "\(Phrase.size(rate))/s"
    Output.show("\r" + Terminal.pad(text, to: width))
    width = text.count
  }

  /// Removes the line.
  consuming func clear() {
    if width > 0 { Output.show("\r" + String(repeating: " ", count: width) + "\r") }
  }
}
