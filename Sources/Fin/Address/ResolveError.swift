internal import FinBase

/// The reason why an endpoint has no address to connect to or listen on.
public enum ResolveError: Error, Hashable, Sendable {
  /// The endpoint's text could not be parsed; nothing was looked up.
  case malformed(AddressError)
  /// The name has no address, or the address no name. The reason is the text of `gai_strerror`, the code one of
  /// netdb.h's `EAI_…`.
  case notFound(name: String, reason: String, code: CInt)
  /// The name may have an address, but the resolver could not find out: no name server answered, or memory was short.
  case unavailable(name: String, reason: String, code: CInt)
  /// `/etc/services` has no such service for the socket's kind.
  case unknownService(name: String)
  /// The timeout passed without an answer. The query goes on in its thread until the system's resolver gives up; its
  /// answer is dropped.
  case timedOut(name: String, after: Duration)
  /// The address is of a family other than the requested one, or is not one that a socket can connect to.
  case wrongFamily(endpoint: String, wanted: AddressFamily)
  /// The limit of unanswered lookups is reached, so no thread was started for another.
  case tooManyLookups(limit: Int)
  /// The limit of unanswered lookups of one name is reached: they leave room for other names.
  case tooManyLookupsOfName(name: String, limit: Int)
  /// The thread for the lookup could not be started. The code is the result of `pthread_create`.
  case noThread(code: CInt)
  /// The waiting task was cancelled. The query goes on in its thread; its answer is dropped.
  case cancelled
  /// A task can wait only on a reactor, and none could be made.
  case noReactor(reason: String)
}

extension ResolveError: CustomStringConvertible {
  /// The error, and what the user can do about it.
  public var description: String {
    switch self {
    case .malformed(let error):
      return error.description
    case .notFound(let name, let reason, let code) where IPAddress(name) != nil:
      return "no name for \(quoted(name)): \(reason) (\(Self.symbol(code))): use the address itself"
    case .notFound(let name, let reason, let code):
      return "no address for \(quoted(name)): \(reason) (\(Self.symbol(code))): "
        + "check the spelling, or write the address in numbers"
    case .unavailable(let name, let reason, let code):
      return "no answer about \(quoted(name)): \(reason) (\(Self.symbol(code))): "
        + "try again later; /etc/resolv.conf says which name servers are asked"
    case .unknownService(let name):
      return "no service is called \(quoted(name)): write the port's number, or add the name to /etc/services"
    case .timedOut(let name, let after):
      return "no answer about \(quoted(name)) within \(after.text): "
        + "give more time, or see whether the name servers in /etc/resolv.conf answer"
    case .wrongFamily(let endpoint, let wanted):
      return "a socket of the \(wanted) family cannot use \(quoted(endpoint)): choose the other family"
    case .tooManyLookups(let limit):
      return "\(limit) name lookups are running already: wait until one of them ends"
    case .tooManyLookupsOfName(let name, let limit):
      return "\(limit) lookups of \(quoted(name)) are running already, each for another family, kind or service: "
        + "wait until one of them ends"
    case .noThread(let code):
      return "no thread could be started for the name lookup (error \(code)): "
        + "the process has too many threads, or too little memory"
    case .cancelled:
      return "the task that waited for a name lookup was cancelled"
    case .noReactor(let reason):
      return "no reactor for the wait for a name lookup: \(reason)"
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
