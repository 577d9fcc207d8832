/// Why an endpoint gave no address to connect or listen to.
public enum ResolveError: Error, Hashable, Sendable {
  /// The endpoint's text could not be read; nothing was looked up.
  case malformed(AddressError)
  /// The name has no address. The reason is `gai_strerror`'s, the code one of netdb.h's `EAI_…`.
  case notFound(name: String, reason: String, code: CInt)
  /// The name may have an address, but it could not be asked for now: no name server answered, or memory was short.
  case unavailable(name: String, reason: String, code: CInt)
  /// `/etc/services` has no such service for the socket's kind.
  case unknownService(name: String)
  /// No answer in time. The question goes on in its own thread until the system's resolver gives up; its answer is dropped.
  case timedOut(name: String, after: Duration)
  /// The address is of another family than the one asked for, or none that can be connected to.
  case wrongFamily(endpoint: String, wanted: AddressFamily)
  /// So many questions have no answer yet that no thread is started for another.
  case tooManyLookups(limit: Int)
  /// The system gave no thread to ask in. The code is `pthread_create`'s answer.
  case noThread(code: CInt)
  /// The task that waited was cancelled. The question goes on in its own thread; its answer is dropped.
  case cancelled
  /// A task can wait only at a reactor, and there is none to be had.
  case noReactor(reason: String)
}

extension ResolveError: CustomStringConvertible {
  /// What happened, and what a person can do about it.
  public var description: String {
    switch self {
    case .malformed(let error):
      return error.description
    case .notFound(let name, let reason, let code):
      return "no address for \(quoted(name)): \(reason) (\(Self.symbol(code))): "
        + "check the spelling, or write the address in numbers"
    case .unavailable(let name, let reason, let code):
      return "no answer about \(quoted(name)): \(reason) (\(Self.symbol(code))): "
        + "try again later; /etc/resolv.conf says which name servers are asked"
    case .unknownService(let name):
      return "no service is called \(quoted(name)): write the port's number, or add the name to /etc/services"
    case .timedOut(let name, let after):
      return "no answer about \(quoted(name)) within \(after): "
        + "give more time, or see whether the name servers in /etc/resolv.conf answer"
    case .wrongFamily(let endpoint, let wanted):
      return "\(quoted(endpoint)) is no address that a socket of the \(wanted) family can use: choose the other family"
    case .tooManyLookups(let limit):
      return "\(limit) names are being looked up already: wait until one has its answer"
    case .noThread(let code):
      return "no thread to look a name up in (error \(code)): the process has too many, or too little memory"
    case .cancelled:
      return "the task that waited for a name was cancelled"
    case .noReactor(let reason):
      return "no reactor to wait at while a name is looked up: \(reason)"
    }
  }

  private func quoted(_ text: String) -> String { "\"\(printable(text.utf8, limit: 256))\"" }

  private static func symbol(_ code: CInt) -> String {
    switch code {
    case -1: "EAI_BADFLAGS"
    case -2: "EAI_NONAME"
    case -3: "EAI_AGAIN"
    case -4: "EAI_FAIL"
    case -5: "EAI_NODATA"
    case -6: "EAI_FAMILY"
    case -7: "EAI_SOCKTYPE"
    case -8: "EAI_SERVICE"
    case -9: "EAI_ADDRFAMILY"
    case -10: "EAI_MEMORY"
    case -11: "EAI_SYSTEM"
    case -12: "EAI_OVERFLOW"
    default: "EAI \(code)"
    }
  }
}
