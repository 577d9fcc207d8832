import FinBase
import FinTerminal
import Glibc

/// The line on standard error that says how far a long work is, on a terminal. In a pipe or a file there is none.
///
/// Another text may be written to the terminal after ``clear()``. The line is removed when this value ends, also by an
/// error.
struct ProgressLine: ~Copyable {
  /// The time between two lines, in nanoseconds, at least.
  private static let interval: Int64 = 200_000_000

  /// Whether there is a line at all.
  let isWanted: Bool
  private var width = 0
  private var last: Int64?

  /// - Parameter isWanted: Whether the caller wants it; without a terminal there is none all the same.
  init(isWanted: Bool = true) { self.isWanted = isWanted && isatty(STDERR_FILENO) == 1 }

  deinit { Self.remove(width) }

  /// Shows a text in the place of the one before, unless that has just appeared.
  mutating func show(_ text: @autoclosure () -> String) {
    guard isWanted else { return }
    let now = SystemClock.monotonic
    if width > 0, let last, now - last < Self.interval { return }
    last = now
    replace(text())
  }

  /// Shows a text in the place of the one before.
  mutating func replace(_ text: String) {
    guard isWanted else { return }
    // A line that does not fit would be continued on the next one, which no carriage return reaches.
    let shown = String(text.prefix(Self.room))
    Output.show("\r" + Terminal.pad(shown, to: min(width, Self.room)))
    width = shown.count
  }

  /// Removes the line, for another text or at the end.
  mutating func clear() {
    Self.remove(width)
    width = 0
  }

  private static func remove(_ width: Int) {
    if width > 0 { Output.show("\r" + String(repeating: " ", count: min(width, room)) + "\r") }
  }

  /// The columns that a line may have, without the last one.
  private static var room: Int {
    var size = winsize()
    guard unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 1 else { return 79 }
    return Int(size.ws_col) - 1
  }
}

extension TimeSpan {
  /// Sleeps for this time. On a terminal, a line says how much of it has passed.
  /// - Parameter work: The purpose of the wait: `between two looks`.
  func pass(showing work: String) {
    var progress = ProgressLine()
    var slices: Int64 = 0
    pass(in: progress.isWanted ? 250 : .max) {
      slices += 1
      progress.show("\(work): \(min(slices * 250, milliseconds) / 1000) of \(milliseconds / 1000) s")
    }
  }
}
