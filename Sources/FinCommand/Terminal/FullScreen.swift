import CFin
import FinBase
import FinTerminal
import Glibc

/// A terminal that is taken over as a whole, and given back as it was: keys come one by one and are not shown, and
/// pictures are written to it.
///
/// The caller takes it over with ``enter()`` and gives it back with ``leave()``. If a fault or an abort ends the
/// process in between, a signal handler gives it back. Only SIGKILL and SIGSTOP leave it as it is.
struct FullScreen: ~Copyable {
  /// An event that a wait returns.
  enum Event: Hashable {
    case keys([Key])
    case resized
    /// The process was stopped and goes on: other programs may have used the terminal.
    case resumed
    /// SIGINT, SIGTERM or SIGHUP, or SIGTSTP.
    case signal(CInt)
    case bell
    /// The terminal is gone.
    case gone
    /// The time is over.
    case nothing
  }

  private let input: CInt
  /// A description of its own, whose writes do not wait: the shell's is left alone.
  private let output: CInt
  private let signals: (reading: CInt, writing: CInt)
  private let bell: Bell
  private let settings: termios
  private var isEntered = false
  private var reader = KeyReader()

  private static let heard = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH]
  /// The time after an ESC within which the rest of a longer key follows.
  private static let rest: Int64 = 40_000_000

  /// Looks at the terminal of standard input and output, and hears signals from now on.
  /// - Parameter bell: An event that ends a wait.
  /// - Throws: A `KernelError` if standard input or output is no terminal, or no descriptor is left.
  init(wokenBy bell: Bell) throws(KernelError) {
    var settings = termios()
    _ = try calling { Int(unsafe tcgetattr(STDIN_FILENO, &settings)) }
    guard isatty(STDOUT_FILENO) == 1 else { throw KernelError(code: ENOTTY) }
    var ends: [CInt] = [-1, -1]
    _ = try calling { Int(unsafe fin_signal_pipe(&ends)) }
    self.settings = settings
    self.bell = bell
    input = STDIN_FILENO
    signals = (ends[0], ends[1])
    let own = unsafe ttyname(STDOUT_FILENO).map { unsafe open($0, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) } ?? -1
    output = own >= 0 ? own : STDOUT_FILENO
    for number in Self.heard where !AwaitedSignals.isIgnored(number) { _ = fin_hear_signal(number, signals.writing) }
    _ = signal(SIGPIPE, SIG_IGN)
  }

  deinit {
    if isEntered { giveBack() }
    for number in Self.heard { fin_unhear_signal(number) }
    if output != STDOUT_FILENO { close(output) }
    close(signals.reading)
    close(signals.writing)
  }

  /// The size in columns and rows; 80 × 24 if the terminal has none.
  var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard unsafe ioctl(input, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Takes the terminal over.
  /// - Returns: False if the terminal is gone.
  mutating func enter() -> Bool {
    var raw = settings
    raw.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INLCR | IGNCR | INPCK | ISTRIP | IXON)
    raw.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | IEXTEN | ISIG)
    // VMIN and VTIME: a read returns with the first byte.
    raw.c_cc.6 = 1
    raw.c_cc.5 = 0
    let end = Array(ScreenChange.end.utf8)
    isEntered = true
    var settings = settings
    unsafe end.withUnsafeBytes {
      _ = unsafe fin_guard_terminal(output, &settings, $0.baseAddress!, UInt64($0.count))
    }
    guard unsafe tcsetattr(input, TCSANOW, &raw) == 0 else { return false }
    return show(Array(ScreenChange.beginning.utf8))
  }

  /// Gives the terminal back as it was.
  mutating func leave() {
    guard isEntered else { return }
    giveBack()
    isEntered = false
  }

  /// Stops this process and those that were started with it, as Ctrl-Z does in other programs, until the shell
  /// continues them.
  mutating func stop() {
    leave()
    fin_unhear_signal(SIGTSTP)
    kill(0, SIGTSTP)
    // Continued, perhaps alone: the others go on too.
    fin_unhear_signal(SIGCONT)
    kill(0, SIGCONT)
    for number in [SIGTSTP, SIGCONT] { _ = fin_hear_signal(number, signals.writing) }
  }

  private func giveBack() {
    // The terminal may be stalled, and the process shall end all the same.
    _ = write(Array(ScreenChange.end.utf8)[...], within: 200_000_000)
    var settings = settings
    _ = unsafe tcsetattr(input, TCSANOW, &settings)
    fin_unguard_terminal()
  }

  /// Writes a picture, and waits while the terminal takes no more, but not beyond a signal that ends the program.
  /// - Returns: False if the terminal is gone.
  func show(_ bytes: [UInt8]) -> Bool { write(bytes[...], within: nil) }

  private func write(_ bytes: ArraySlice<UInt8>, within limit: Int64?) -> Bool {
    let end = limit.map { SystemClock.monotonic + $0 }
    var rest = bytes
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(output, $0.baseAddress!, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
        continue
      }
      if count < 0, errno == EINTR { continue }
      guard count < 0, errno == EAGAIN else { return false }
      let left = end.map { $0 - SystemClock.monotonic }
      if let left, left <= 0 { return true }
      // A signal is handled after the picture, unless the terminal does not move.
      let waits = limit == nil ? [(output, POLLOUT), (signals.reading, POLLIN)] : [(output, POLLOUT)]
      if ByteStream.firstReady(waits, atMost: left) == 1 { return true }
    }
    return true
  }

  /// Waits for an event.
  /// - Parameter nanoseconds: The time; nil for no limit.
  mutating func next(within nanoseconds: Int64?) -> Event {
    let limit = reader.isWithin ? min(nanoseconds ?? Self.rest, Self.rest) : nanoseconds
    let waits = [(signals.reading, POLLIN), (input, POLLIN), (bell.descriptor, POLLIN)]
    switch ByteStream.firstReady(waits, atMost: limit) {
    case nil:
      let keys = reader.flush()
      return keys.isEmpty ? .nothing : .keys(keys)
    case 0: return nextSignal()
    case 1: return nextKeys()
    default:
      bell.wait(atMost: 0)
      return .bell
    }
  }

  private func nextSignal() -> Event {
    var byte: UInt8 = 0
    guard unsafe read(signals.reading, &byte, 1) == 1 else { return .nothing }
    switch CInt(byte) {
    case SIGWINCH: return .resized
    case SIGCONT: return .resumed
    default: return .signal(CInt(byte))
    }
  }

  private mutating func nextKeys() -> Event {
    var room = [UInt8](repeating: 0, count: 1024)
    let count = unsafe read(input, &room, room.count)
    if count < 0, errno == EINTR || errno == EAGAIN { return .nothing }
    guard count > 0 else { return .gone }
    let keys = reader.keys(in: room[..<count])
    return keys.isEmpty ? .nothing : .keys(keys)
  }
}
