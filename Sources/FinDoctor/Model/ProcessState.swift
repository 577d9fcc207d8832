/// The state of a process, as the letter in `/proc/PID/stat`.
package struct ProcessState: Hashable, Sendable, CustomStringConvertible {
  /// The letter: `S` sleeps, `R` runs, `T` is stopped.
  package var letter: UInt8

  /// Makes a state from its letter.
  package init(letter: UInt8) { self.letter = letter }

  /// Whether a signal or a debugger has stopped the process, or it waits in the kernel where no signal wakes it: it
  /// executes nothing.
  package var isHalted: Bool {
    letter == UInt8(ascii: "T") || letter == UInt8(ascii: "t") || letter == UInt8(ascii: "D")
  }

  /// The letter as text, made visible.
  package var description: String { visible([letter]) }

  /// The state in words that follow "is".
  var words: String {
    switch letter {
    case UInt8(ascii: "T"): "stopped by a signal (state T)"
    case UInt8(ascii: "t"): "stopped by a debugger (state t)"
    case UInt8(ascii: "D"): "waiting in the kernel, for a disk or the like (state D)"
    default: "in state \(self)"
    }
  }
}
