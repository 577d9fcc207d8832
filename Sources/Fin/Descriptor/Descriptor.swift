internal import SystemPackage

/// Owns one descriptor number, from its creating system call to its `close(2)`.
///
/// Whatever path leaves the scope, the number is released exactly once: by ``take()`` into another owner, or by the end of
/// this one.
struct Descriptor: ~Copyable {
  let number: CInt

  /// - Parameter number: open, and nobody else's.
  init(owning number: CInt) { self.number = number }

  deinit { Syscalls.close(number) }

  /// Gives the number away; whoever has it now has to close it.
  consuming func take() -> CInt {
    let number = number
    discard self
    return number
  }
}
