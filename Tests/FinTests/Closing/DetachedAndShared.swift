import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: close always answers: detached and shared", .onThreads)
struct DetachedAndShared {
  @Test("withConnection whose body detaches reports detached, and the connection goes on")
  func detachedInAThread() throws {
    let keeper = try openListener()
    let (given, end) = try withConnection(to: Endpoint(keeper.listener.localAddress)) { try $0.detach().descriptor }
    try goesOn(keeper, given, end)
  }

  @Test("withConnection in a task whose body detaches reports detached, and the connection goes on")
  func detachedInATask() throws {
    let keeper = try openListener()
    let endpoint = Endpoint(keeper.listener.localAddress)
    let (given, end) = try inTask {
      try await withConnection(to: endpoint) { connection async throws in try connection.detach().descriptor }
    }
    try goesOn(keeper, given, end)
  }

  private func goesOn(_ keeper: consuming Keeper, _ given: FileDescriptor, _ end: CloseReport) throws {
    #expect(end.ending == .detached && !end.isDelivered && end.bytesUnacknowledged == 0, "\(end)")
    #expect("\(end.ending)" == "detached")
    let peer = try keeper.listener.accept()
    try given.writeAll([7])
    #expect(try peer.receive(exactly: 1) == [7])
    try given.close()
    peer.close()
    keeper.end()
  }

  @Test("a served connection with a duplicate that outlives its handler ends as shared, and goes on")
  func served() throws {
    let kept = Kept<SharedConnection>()
    let server = try Running(threads: 1) { connection in kept.value = try connection.duplicate().share() }
    let visitor = try Visitor(server.port)
    try eventually("the duplicate") { kept.value != nil }
    let report = try server.stop()
    #expect(report.endings == [.shared: 1] && report.served == 1 && "\(report)" == "1 served: 1 shared", "\(report)")
    try kept.value?.send([7])
    #expect(visitor.next == .success(1))
    #expect(kept.value?.close().isDelivered == true)
  }

  @Test("in tasks too: a served connection with a duplicate that outlives its handler ends as shared, and goes on")
  func servedInATask() throws {
    let kept = Kept<SharedConnection>()
    let server = try ServingInTask { connection in kept.value = try connection.duplicate().share() }
    let visitor = try Visitor(server.port)
    try eventually("the duplicate") { kept.value != nil }
    let report = try server.stop()
    #expect(report.endings == [.shared: 1] && report.served == 1, "\(report)")
    try kept.value?.send([7])
    #expect(visitor.next == .success(1))
    #expect(kept.value?.close().isDelivered == true)
  }
}
