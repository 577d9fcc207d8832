import CPeers
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a stop under load loses no client, and its report counts what the clients saw", .onThreads)
struct StopUnderLoad {
  /// The number of stops of each kind; `FIN_STOPS=40` for a measurement.
  private static let stops = unsafe getenv("FIN_STOPS").flatMap { unsafe Int(String(cString: $0)) } ?? 2

  enum Place: String, CaseIterable {
    case tcp, unix
  }

  @Test(
    "64 clients in a loop, and a stop: each that connected was served, and the counts agree", .faults(40),
    arguments: Place.allCases, ServingWorld.allCases)
  func stop(place: Place, world: ServingWorld) throws {
    var lost = 0
    for _ in 0..<Self.stops {
      let (clients, report) = try Self.inNamespace { try Self.once(place, world) }
      #expect(clients.served == report.served && clients.failed == 0, "\(clients), \(report)")
      #expect(clients.reset == report.clientsReset + report.handshakesCut, "\(clients), \(report)")
      lost += clients.reset
    }
    #expect(lost == 0, "\(lost) clients were lost in \(Self.stops) stops")
  }

  @Test(
    "64 clients in a loop, and a drain without time: the clients that the report counts as reset are those that were",
    .faults(40), arguments: Place.allCases, ServingWorld.allCases)
  func overdue(place: Place, world: ServingWorld) throws {
    let (clients, report) = try Self.inNamespace { try Self.once(place, world, within: .zero) }
    let lost = report.clientsReset + report.handshakesCut + report.abortedAtStop
    // A connection that was aborted may have been served as a whole before, and one that ended with the drain may not.
    #expect(clients.served + clients.reset == report.served + report.clientsReset + report.handshakesCut)
    #expect(clients.reset <= lost && clients.failed == 0, "\(clients), \(report)")
    let aborted = report.endings[.aborted, default: 0]
    #expect(aborted <= report.abortedAtStop, "\(report)")
    #expect((report.served - aborted...report.served).contains(clients.served), "\(clients), \(report)")
  }

  private struct Clients {
    var served = 0
    var refused = 0
    var reset = 0
    var failed = 0
  }

  /// In a network namespace of its own, where the machine allows one: each client leaves a TIME-WAIT behind.
  private static func inNamespace<R>(_ body: () throws -> R) throws -> R {
    Privileges.canMakeNamespaces ? try NetworkNamespace().run { try body() } : try body()
  }

  private static func once(
    _ place: Place, _ world: ServingWorld, within: Timeout = .seconds(30)
  ) throws -> (Clients, ServerReport) {
    let folder = try TemporaryFolder()
    let path = place == .unix ? "\(folder.path)/s" : nil
    let listener = try path.map { try Listener.bind(.unix($0)) } ?? Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port ?? 0
    let ended = Tally()
    let handle: ListenerHandle
    let join: () throws -> ServerReport
    switch world {
    case .threads:
      let server = Running(listener, threads: 8) { connection in
        try echo(connection)
        ended.add()
      }
      handle = server.handle
      join = { try server.thread.join(within: .seconds(60)) }
    case .tasks:
      let server = try ServingInTask(listener, loops: 2) { connection in
        try await echoInTask(connection)
        ended.add()
      }
      handle = server.handle
      join = { try server.task.join(within: .seconds(60)) }
    }
    let storm = onThread { try Self.storm(path, port) }
    try eventually(within: .seconds(30), "conversations") { ended.value > 500 }
    handle.stop(within: within)
    let report = try join()
    return (try storm.join(within: .seconds(60)), report)
  }

  private static func storm(_ path: String?, _ port: UInt16) throws -> Clients {
    var count = peers_storm()
    let code = unsafe peers_storm(path, CInt(port), 64, 40, &count)
    guard code == 0 else { throw RigError("pthread_create", code: code) }
    return Clients(served: count.served, refused: count.refused, reset: count.reset, failed: count.failed)
  }
}
