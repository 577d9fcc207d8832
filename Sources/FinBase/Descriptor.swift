internal import Glibc

/// Owns one file descriptor, from the system call that creates it to its `close(2)`.
///
/// The descriptor is released exactly once, whichever path leaves the scope: by ``take()`` into another owner, or by
/// `deinit`.
package struct DescriptorOwner<Closing: DescriptorClosing>: ~Copyable, Sendable {
  package let number: CInt

  /// - Parameter number: an open descriptor that has no other owner.
  package init(owning number: CInt) { self.number = number }

  deinit { Closing.close(number) }

  /// Transfers the descriptor to the caller, who has to close it.
  package consuming func take() -> CInt {
    let number = number
    discard self
    return number
  }
}

/// The call that closes a descriptor. Fin's can be scripted by tests.
package protocol DescriptorClosing: Sendable {
  static func close(_ descriptor: CInt)
}

/// `close(2)`.
package enum SystemClose: DescriptorClosing {
  package static func close(_ descriptor: CInt) { closeOnce(descriptor) { Int(Glibc.close(descriptor)) } }
}

/// Makes the call that closes a descriptor, once. The number is free when this returns, whatever the result.
///
/// `EINTR` is not repeated: Linux frees the number before it can fail, and a second call could close a stranger's.
/// `EBADF` traps: another part of the program closed our descriptor, and every further use of the number would hit
/// a stranger.
package func closeOnce(_ descriptor: CInt, _ close: () -> Int) {
  do throws(KernelError) {
    _ = try calling(.surfaces, close)
  } catch {
    guard error.code != EBADF else {
      fatalError("close(\(descriptor)): EBADF: another part of this program closed a descriptor that Fin owns")
    }
  }
}
