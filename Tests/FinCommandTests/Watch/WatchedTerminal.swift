import Glibc
import Peers

/// A `fin watch`, or another verb, on a terminal of its own (a pseudo terminal), with what the terminal shows.
final class WatchedTerminal {
  let child: Child
  private(set) var screen: TestTerminal
  private var ours: CInt
  /// Kept open, so that the settings outlive the program.
  private let theirs: CInt
  let settings: termios

  /// - Parameters:
  ///   - verb: The verb, with words of its own.
  ///   - words: The words after it.
  ///   - output: A file in the place of the terminal for standard output; nil for the terminal.
  init(
    verb: [String] = ["watch"], _ words: String..., columns: Int = 80, rows: Int = 24, output: String? = nil,
    in network: NetworkNamespace? = nil
  ) throws {
    var (master, slave): (CInt, CInt) = (-1, -1)
    var name = [CChar](repeating: 0, count: 128)
    guard unsafe openpty(&master, &slave, &name, nil, nil) == 0 else { throw RigError("openpty", code: errno) }
    (ours, theirs) = (master, slave)
    for number in [master, slave] { _ = fcntl(number, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    let path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    Self.resize(ours, columns, rows)
    settings = try Self.settings(of: theirs)
    screen = TestTerminal(columns: columns, rows: rows)
    // A session of its own, of which it is the foreground.
    let script = "t=$1 o=$2 && shift 2 && exec setsid -w -c \"$0\" \"$@\" <$t 2>$t >$o"
    let arguments = ["-c", script, Fin.path, path, output ?? path] + verb + words
    let sh = Programs.find("sh") ?? "/bin/sh"
    if let network {
      child = try network.run { try Child.spawn(sh, arguments) }
    } else {
      child = try Child.spawn(sh, arguments)
    }
  }

  deinit {
    let number = number
    child.end()
    if number > 0 { kill(number, SIGKILL) }
    hangUp()
    close(theirs)
  }

  /// The process in the foreground of the terminal; 0 if there is none.
  var number: pid_t { ours < 0 ? 0 : max(0, tcgetpgrp(ours)) }

  var lines: [String] { screen.lines }

  func type(_ keys: String) throws {
    let bytes = Array(keys.utf8)
    let count = unsafe write(ours, bytes, bytes.count)
    guard count == bytes.count else { throw RigError("write to a terminal", code: errno) }
  }

  /// Changes the size, as a window does.
  func resize(columns: Int, rows: Int) {
    receive()
    var other = TestTerminal(columns: columns, rows: rows)
    // The modes stay.
    for mode in [1049, 25, 7] {
      other.receive(Array("\u{1B}[?\(mode)\(screen.modes.contains(mode) ? "h" : "l")".utf8))
    }
    screen = other
    Self.resize(ours, columns, rows)
  }

  private static func resize(_ terminal: CInt, _ columns: Int, _ rows: Int) {
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = unsafe ioctl(terminal, UInt(TIOCSWINSZ), &size)
  }

  /// The terminal is gone, as when its window is closed.
  func hangUp() {
    if ours >= 0 { close(ours) }
    ours = -1
  }

  /// Takes over what the program has written.
  func receive() {
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe read(ours, &room, room.count)
      guard count > 0 else { return }
      screen.receive(room[..<count])
    }
  }

  /// Waits until the terminal shows what is wanted.
  func see(_ what: String, _ condition: (WatchedTerminal) -> Bool) throws {
    do {
      try eventually(within: .seconds(60), what) {
        receive()
        return condition(self)
      }
    } catch {
      throw RigError("\(error); the terminal shows:\n\(lines.joined(separator: "\n"))")
    }
  }

  /// Waits for the first picture of a program that is not frozen. On a busy machine it says that its looks are slow.
  func seePicture() throws {
    try see("the first picture") { $0.lines[0].contains("[live ") || $0.lines[0].contains("looks are slow]") }
  }

  func see(text: String) throws {
    try see(text) { $0.lines.contains { $0.contains(text) } }
  }

  static func settings(of terminal: CInt) throws -> termios {
    var settings = termios()
    guard unsafe tcgetattr(terminal, &settings) == 0 else { throw RigError("tcgetattr", code: errno) }
    return settings
  }

  /// Whether the terminal is as it was: its settings, the buffer, the cursor, wrapping.
  func isRestored() throws -> Bool {
    receive()
    let now = try Self.settings(of: theirs)
    let one = settings
    let other = now
    let flags =
      one.c_iflag == other.c_iflag && one.c_oflag == other.c_oflag && one.c_cflag == other.c_cflag
      && one.c_lflag == other.c_lflag
    return flags && "\(one.c_cc)" == "\(other.c_cc)" && screen.modes == [25, 7]
  }
}
