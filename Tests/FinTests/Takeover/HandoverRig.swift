import Glibc
import Peers
import Synchronization

@testable import Fin

/// A server in a thread or in tasks of this process, whose listener is offered to a successor.
struct Predecessor: Sendable {
  let address: SocketAddress
  let handle: ListenerHandle
  let server: Served
  let handover: Handover
  let succession: Joining<HandoverReport>

  /// Echoes each line with "old" before it.
  init(_ listener: consuming Listener, at path: SocketAddress, in world: ServingWorld, patience: Timeout = .seconds(20))
    throws
  {
    address = listener.localAddress
    let keeper = Keeper(listener)
    handle = keeper.listener.handle
    server = Served(keeper, in: world, on: try Reactor.shared, named: "old ")
    let handover = try Handover(offering: ["web": handle], at: path, patience: patience)
    self.handover = handover
    switch world {
    case .threads: succession = onThread { try handover.awaitSuccessor(draining: .seconds(20)) }
    case .tasks:
      succession = onThread {
        try inTask(within: .seconds(120)) { try await handover.awaitSuccessor(draining: .seconds(20)) }
      }
    }
  }

  /// Waits until the server has ended after a handover.
  func ended() throws -> (HandoverReport, ServerReport) {
    (try succession.join(within: .seconds(60)), try server.join(.seconds(60)))
  }
}

/// Takes a listener over in a thread or a task, and calls `beforeEnd` before the confirmation.
func takeOver(
  from path: SocketAddress, in world: ServingWorld, _ beforeEnd: @escaping @Sendable () throws -> Void = {}
) throws -> (Keeper, Takeover.Predecessor)? {
  switch world {
  case .threads:
    guard var takeover = try Handover.take(from: path, within: .seconds(20)) else { return nil }
    guard let listener = try takeover.takeListener(named: "web") else { throw RigError("web is not offered") }
    let keeper = Keeper(listener)
    try beforeEnd()
    return (keeper, try takeover.finish(within: .seconds(20)))
  case .tasks:
    return try inTask(within: .seconds(60)) {
      guard var takeover = try await Handover.take(from: path, within: .seconds(20)) else { return nil }
      guard let listener = try takeover.takeListener(named: "web") else { throw RigError("web is not offered") }
      let keeper = Keeper(listener)
      try synchronously { try beforeEnd() }
      return (keeper, try await takeover.finish(within: .seconds(20)))
    }
  }
}

/// One echo over a connection of its own.
func askOnce(_ address: SocketAddress) throws -> String {
  let client = try Connection.connect(to: address, within: .seconds(20)).share()
  defer { client.abort() }
  try client.send("x\n")
  return try client.receiveLine(within: .seconds(20)) ?? "the end"
}

/// Clients that connect, ask and leave until they are stopped. Each failure is kept.
final class Visitors: Sendable {
  private let isOver = Atomic<Bool>(false)
  private let outcomes = Mutex<(answers: [String: Int], failures: [String])>(([:], []))
  private let threads = Mutex<[Joining<Bool>]>([])

  init(_ count: Int, _ address: SocketAddress) {
    let all = (0..<count).map { _ in
      onThread {
        while !self.isOver.load(ordering: .acquiring) {
          do {
            let answer = try askOnce(address)
            self.outcomes.withLock { $0.answers[answer, default: 0] += 1 }
          } catch { self.outcomes.withLock { $0.failures.append("\(error)") } }
        }
        return true
      }
    }
    threads.withLock { $0 = all }
  }

  var answers: [String: Int] { outcomes.withLock { $0.answers } }

  /// Waits until this many more connections have been served.
  func awaitMore(_ count: Int) throws {
    let before = answers.values.reduce(0, +)
    try eventually(within: .seconds(60), "more connections") { self.answers.values.reduce(0, +) >= before + count }
  }

  /// Stops the clients, and returns the failures.
  func end() throws -> [String] {
    isOver.store(true, ordering: .releasing)
    for thread in threads.withLock({ $0 }) { _ = try thread.join(within: .seconds(60)) }
    return outcomes.withLock { $0.failures }
  }
}
