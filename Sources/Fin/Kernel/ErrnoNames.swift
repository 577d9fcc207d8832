internal import CFin
internal import SystemPackage

extension Errno {
  /// The symbolic name, such as `EACCES`; the number if the C library has no name for it.
  var name: String {
    guard let text = unsafe fin_errno_name(rawValue) else { return "errno \(rawValue)" }
    return unsafe String(cString: text)
  }
}
