public import CFin
public import Glibc

/// A failed system call: the value of `errno`, its name and its text.
///
/// ``last`` is the only reader of `errno` for both libraries.
@usableFromInline
package struct KernelError: Error, Hashable, Sendable, CustomStringConvertible {
  @usableFromInline package let code: CInt

  @inlinable package init(code: CInt) { self.code = code }

  /// The error of this thread's last system call.
  @inlinable package static var last: KernelError { KernelError(code: fin_errno()) }

  @inlinable package static var interrupted: KernelError { KernelError(code: EINTR) }
  /// Permission denied.
  package var isRefusal: Bool { code == EACCES || code == EPERM }
  /// The process has ended, or the file is gone.
  package var isGone: Bool { code == ENOENT || code == ESRCH }

  /// The symbolic name, such as `EACCES`; `errno 999` for a number that the C library has no name for.
  package var name: String { unsafe fin_errno_name(code).map { unsafe String(cString: $0) } ?? "errno \(code)" }

  /// The text and the name: `permission denied (EACCES)`.
  @usableFromInline package var description: String {
    let words = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error"
    return "\(words.prefix(1).lowercased())\(words.dropFirst()) (\(name))"
  }
}

/// The treatment of `EINTR`: the call is repeated, or the error is thrown.
@usableFromInline
package enum Interruption { case again, surfaces }

/// Makes a system call that returns a negative number for failure, and by default repeats it after a signal.
///
/// Inlined into the caller: it is on the path of every `send` and `recv`.
@inlinable @inline(__always)
package func calling(_ interruption: Interruption = .again, _ body: () -> Int) throws(KernelError) -> Int {
  while true {
    let result = body()
    if result >= 0 { return result }
    let error = KernelError.last
    if error == .interrupted, interruption == .again { continue }
    throw error
  }
}
