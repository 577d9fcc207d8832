internal import CFin
internal import SystemPackage

extension Errno {
  /// `EACCES`; the number where the C library has no name for it.
  var name: String {
    guard let text = unsafe fin_errno_name(rawValue) else { return "errno \(rawValue)" }
    return unsafe String(cString: text)
  }
}
