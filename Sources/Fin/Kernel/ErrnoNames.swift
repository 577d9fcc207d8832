internal import FinBase
internal import SystemPackage

extension Errno {
  /// The error of this thread's last system call.
  @inline(__always) static var last: Errno { Errno(rawValue: KernelError.last.code) }

  /// The symbolic name, such as `EACCES`; the number if the C library has no name for it.
  var name: String { KernelError(code: rawValue).name }

  /// The description and the name of the code: `permission denied (EACCES)`.
  var text: String { KernelError(code: rawValue).description }
}
