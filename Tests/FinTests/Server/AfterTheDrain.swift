import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// The drain of a stopping server aborts a connection that its handler still owns. The handler continues, and so may
/// its calls.
@Suite("After the drain has aborted its connection, a handler's calls never reach a stranger's descriptor", .onThreads)
struct AfterTheDrain {
  /// The way in which a handler finishes sending.
  enum Way: String, CaseIterable, Codable, CustomTestStringConvertible {
    case thread = "in a thread"
    case task = "in a task"
    case half = "by the sending half, in a task"
    var testDescription: String { rawValue }
  }

  @Test(
    "a late finishSending leaves a socket alone that has since got the same descriptor number",
    arguments: Way.allCases)
  func finishing(_ way: Way) async {
    // A separate process: the descriptor number that the drain released is given to another socket here, and to no
    // other test.
    await #expect(processExitsWith: .success) { [way = way as Way] in
      try synchronously { try AfterTheDrain.finish(way) }
    }
  }

  private static func finish(_ way: Way) throws {
    let number = Kept<CInt>()
    let next = Kept<SocketError.Cause>()
    let barrier = Barrier()
    let door = Hold()
    let running: (port: UInt16, handle: ListenerHandle, isOver: () throws -> Bool)
    switch way {
    case .thread:
      let server = try Running(threads: 1) { connection in
        number.value = connection.reference.core.number
        barrier.pass()
        let rest = connection.finishSending()
        next.value = cause { () throws(SocketError) in _ = try rest.receive(upTo: 1) }
        rest.close()
      }
      running = (server.port, server.handle, { server.thread.isFinished })
    case .task:
      let server = try ServingInTask { connection in
        number.value = connection.reference.core.number
        await door.pass()
        let rest = connection.finishSending()
        next.value = await cause { () async throws(SocketError) in _ = try await rest.receive(upTo: 1) }
        await rest.close()
      }
      running = (server.port, server.handle, { server.task.isFinished })
    case .half:
      let server = try ServingInTask { connection in
        number.value = connection.reference.core.number
        _ = try? await connection.duplex { half in
          _ = try await half.receive(upTo: 1)
        } send: { half in
          await door.pass()
          half.finishSending()
        }
        next.value = await cause { () async throws(SocketError) in try await connection.send("x") }
      }
      running = (server.port, server.handle, { server.task.isFinished })
    }
    let visitor = try Visitor(running.port)
    try eventually(within: .seconds(20), "the handler") { number.value != nil }
    running.handle.stop(within: .zero)
    check(visitor.next == .reset, "the drain did not abort")
    try eventually(within: .seconds(20), "the number is released") { fcntl(number.value!, F_GETFD) == -1 }
    var ends: [CInt] = [-1, -1]
    check(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0, "no pair")
    if ends[0] != number.value! { check(dup2(ends[0], number.value!) == number.value!, "no number") }
    barrier.open()
    door.open()
    try eventually(within: .seconds(20), "the server is done", running.isOver)
    // The drain has cancelled the tasks as well.
    let isTold = next.value == .closed || way != .thread && next.value == .cancelled
    check(isTold, "\(String(describing: next.value))")
    var byte: UInt8 = 0
    check(unsafe recv(ends[1], &byte, 1, CInt(MSG_DONTWAIT)) == -1, "the stranger's peer reads an end of file")
    check(unsafe send(number.value!, &byte, 1, CInt(MSG_NOSIGNAL)) == 1, "the stranger cannot send")
  }

  @Test("detaching in a thread after the drain's abort throws .closed, and serve reports the abort")
  func detachingInThread() throws {
    let barrier = Barrier()
    let outcome = Kept<SocketError.Cause>()
    let server = try Running(threads: 1) { connection in
      barrier.pass()
      do throws(SocketError) {
        let given = try connection.detach()
        try? given.descriptor.close()
      } catch { outcome.value = error.cause }
    }
    let visitor = try Visitor(server.port)
    try eventually(within: .seconds(20), "the handler", equals: 1) { barrier.arrived.value }
    server.handle.stop(within: .zero)
    #expect(visitor.next == .reset)
    barrier.open()
    let report = try server.thread.join(within: .seconds(30))
    #expect(outcome.value == .closed)
    #expect(report.endings == [.aborted: 1], "\(report)")
  }

  @Test("detaching in a task after the drain's abort throws .closed, and serve reports the abort")
  func detachingInTask() throws {
    let door = Hold()
    let outcome = Kept<SocketError.Cause>()
    let server = try ServingInTask { connection in
      await door.pass()
      do throws(SocketError) {
        let given = try connection.detach()
        try? given.descriptor.close()
      } catch { outcome.value = error.cause }
    }
    let visitor = try Visitor(server.port)
    try eventually(within: .seconds(20), "the handler", equals: 1) { door.arrived.value }
    server.handle.stop(within: .zero)
    #expect(visitor.next == .reset)
    door.open()
    let report = try server.task.join()
    #expect(outcome.value == .closed)
    #expect(report.endings == [.aborted: 1], "\(report)")
  }
}
