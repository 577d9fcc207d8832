import Glibc
import Peers
import Synchronization

@testable import Fin

/// A resolver with answers of the test's own. With a hold, each question waits until the hold has a value.
final class TableResolver: Resolver {
  private let answers: [String: [SocketAddress]]
  private let hold: OneShot<Bool>?
  private let asked = Mutex<[NameQuestion]>([])

  init(_ answers: [String: [SocketAddress]] = [:], hold: OneShot<Bool>? = nil) {
    self.answers = answers
    self.hold = hold
  }

  /// The questions so far.
  var questions: [NameQuestion] { asked.withLock { $0 } }

  func addresses(for question: NameQuestion) throws(ResolveError) -> [SocketAddress] {
    asked.withLock { $0.append(question) }
    // The hold wakes one thread: the next question is woken by the one before.
    if let hold {
      _ = hold.wait(for: .seconds(60))
      hold.deliver(true)
    }
    guard let answer = answers[question.name] else {
      throw .notFound(name: question.name, reason: "not in the table", code: EAI_NONAME)
    }
    return answer
  }
}

/// A network namespace of a test's own in which each address answers, refuses, or is silent, at one port.
///
/// A silent address is a listener whose accept queue is full: the kernel drops every SYN for it.
final class DialNetwork: Sendable {
  static let port: UInt16 = 8099

  let namespace: NetworkNamespace
  /// An executor in the namespace, for tasks that dial there.
  let reactor: Reactor
  private let kept: [Plain]

  init(silent: [String] = [], live: [String] = []) throws {
    let namespace = try NetworkNamespace()
    let port = DialNetwork.port
    kept = try namespace.run { () throws in
      var kept: [Plain] = []
      for address in silent {
        kept.append(Plain(try PlainSocket.listening(on: address, port: port, backlog: 0)))
        kept.append(Plain(try PlainSocket.connected(to: address, port: port)))
      }
      for address in live { kept.append(Plain(try PlainSocket.listening(on: address, port: port, backlog: 4096))) }
      return kept
    }
    reactor = try namespace.run { () throws in try Reactor(loops: 1) }
    self.namespace = namespace
  }

  /// The address with the port of this network.
  static func address(_ text: String) -> SocketAddress { .ip(IPAddress(text)!, port: port) }

  /// A resolver that answers `name.test` with these addresses.
  static func resolver(_ addresses: [String]) -> TableResolver {
    TableResolver(["name.test": addresses.map { address($0) }])
  }

  /// Dials the name in the namespace, in a thread or in a task.
  func dial(
    _ options: DialOptions, within: Timeout = .seconds(20), inTask: Bool
  ) throws -> SharedConnection {
    let endpoint = Endpoint(host: "name.test", port: DialNetwork.port)
    if !inTask {
      return try namespace.run { () throws in
        try Connection.connect(to: endpoint, within: within, options: options).share()
      }
    }
    return try errand(on: reactor.executor) {
      try await Connection.connect(to: endpoint, within: within, options: options).share()
    }.join(within: .seconds(30))
  }

  /// The number of attempts that the kernel has in SYN-SENT.
  func unanswered() throws -> Int {
    try namespace.run { () throws in try KernelView.tcp().count { $0.state == .synSent } }
  }
}
