internal import SystemPackage

/// Owns one file descriptor, from the system call that creates it to its `close(2)`.
///
/// The descriptor is released exactly once, whichever path leaves the scope: by ``take()`` into another owner, or by
/// `deinit`.
struct Descriptor: ~Copyable {
  let number: CInt

  /// - Parameter number: an open descriptor that has no other owner.
  init(owning number: CInt) { self.number = number }

  deinit { Syscalls.close(number) }

  /// Transfers the descriptor to the caller, who has to close it.
  consuming func take() -> CInt {
    let number = number
    discard self
    return number
  }
}
