internal import FinBase
import Glibc

/// The part of a resolution that needs a resolver: the name or the service of an endpoint.
struct Lookup: Sendable {
  /// The host's name; empty if `address` is known.
  let name: String
  /// The host's address, if only the service's port is looked up.
  let address: IPAddress?
  let port: Endpoint.Port
  let family: AddressFamily?
  let kind: SocketKind
  /// The maximum number of addresses to keep.
  let limit: Int
  var resolver: any Resolver = SystemResolver.shared
  /// A replacement for the process's table of questions in tests.
  var table: Questions?

  var question: NameQuestion {
    var service: String?
    if case .service(let name) = port { service = name }
    return NameQuestion(name: name, service: service, family: address?.family ?? family, kind: kind)
  }

  private var questions: Questions { table ?? (question.isLocal ? .local : .shared) }

  /// Asks the question, and waits in a thread for the answer until the timeout.
  func answer(within duration: Duration) throws(ResolveError) -> [SocketAddress] {
    guard duration > .zero else { throw .timedOut(name: question.subject, after: duration) }
    let rendezvous = OneShot<Questions.Answer>()
    let caller = try begin(rendezvous)
    guard let answer = rendezvous.wait(for: duration) else {
      leave(caller)
      throw .timedOut(name: question.subject, after: duration)
    }
    return try kept(of: answer.get())
  }

  /// Asks the question, and returns at once.
  func begin(_ rendezvous: OneShot<Questions.Answer>) throws(ResolveError) -> Questions.Caller {
    try questions.ask(question, resolver) { rendezvous.deliver($0) }
  }

  func leave(_ caller: Questions.Caller) { questions.leave(caller) }

  /// The addresses with this lookup's host and port, in the resolver's order, each once, up to the limit.
  func kept(of addresses: [SocketAddress]) throws(ResolveError) -> [SocketAddress] {
    var found: [SocketAddress] = []
    var seen: Set<SocketAddress> = []
    for case .ip(let ip, let listed) in addresses where found.count < max(limit, 1) {
      guard ip.family == (address?.family ?? family ?? ip.family) else { continue }
      let result: SocketAddress
      switch port {
      case .number(let number): result = .ip(address ?? ip, port: number)
      case .service: result = .ip(address ?? ip, port: listed)
      }
      if seen.insert(result).inserted { found.append(result) }
    }
    if found.isEmpty { throw .notFound(name: question.subject, reason: "the resolver knows none", code: EAI_NONAME) }
    return found
  }
}
