import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// The forms that the articles "Errors" and "In a task" recommend. Their neighbours crash the compiler or are refused
/// by it: that this file compiles is a part of the test.
@Suite("The documented forms around a live owner compile, and do what they say")
struct CompiledForms {
  private func pattern() throws -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do { _ = try connection.receiveLine(within: .zero) } catch SocketError.timedOut {
      word = "late"
    } catch { throw error }
    connection.abort()
    other.abort()
    return word
  }

  private func guarded() throws -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do { _ = try connection.receiveLine(within: .zero) } catch {
      guard error.cause == .timedOut else { throw error }
      word = "late"
    }
    connection.abort()
    other.abort()
    return word
  }

  private func switched() throws -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do { _ = try connection.receiveLine(within: .zero) } catch {
      switch error.cause {
      case .timedOut: word = "late"
      default: throw error
      }
    }
    connection.abort()
    other.abort()
    return word
  }

  private func typed() throws(SocketError) -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do { _ = try connection.receiveLine(within: .zero) } catch SocketError.timedOut { word = "late" }
    do { _ = try connection.receiveLine(within: .zero) } catch  where error.cause == .timedOut { word += " again" }
    connection.abort()
    other.abort()
    return word
  }

  private func untyped() throws -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do throws(any Error) { _ = try connection.receiveLine(within: .zero) } catch SocketError.timedOut { word = "late" }
    connection.abort()
    other.abort()
    return word
  }

  private func mixed() throws -> String {
    let pair = try Connection.pair()
    let connection = pair.first
    let other = pair.second
    var word = "answered"
    do {
      try mayFail()
      _ = try connection.receiveLine(within: .zero)
    } catch SocketError.timedOut { word = "late" }
    connection.abort()
    other.abort()
    return word
  }

  private func mayFail() throws {}

  @Test("each form of catching one cause", .onThreads)
  func catching() throws {
    #expect(try pattern() == "late" && guarded() == "late" && switched() == "late" && untyped() == "late")
    #expect(try mixed() == "late")
    #expect(try typed() == "late again")
  }

  @Test("the form of catching one cause in a task")
  func catchingInATask() async throws {
    let pair = try Connection.pair()
    var word = "answered"
    do { _ = try await pair.first.receiveLine(within: .zero) } catch SocketError.timedOut {
      word = "late"
    } catch { throw error }
    #expect(word == "late")
    pair.first.abort()
    pair.second.abort()
  }

  @Test("a pattern matches its own cause and no other, and no error of another type", .onThreads)
  func patterns() {
    let causes: [(SocketError.Cause, SocketError.Pattern)] = [
      (.closed, SocketError.closed), (.paused, SocketError.paused), (.reset, SocketError.reset),
      (.timedOut, SocketError.timedOut), (.cancelled, SocketError.cancelled),
      (.reactorStopped, SocketError.reactorStopped), (.finished, SocketError.finished),
      (.peerClosed, SocketError.peerClosed), (.notText, SocketError.notText), (.busy, SocketError.busy),
      (.tooManyOperations, SocketError.tooManyOperations), (.lost(.timedOut), SocketError.lost),
      (.endOfStream(received: 3), SocketError.endOfStream), (.limit("limit", 3), SocketError.limit),
      (.unresolved(.cancelled), SocketError.unresolved),
      (.system(.connectionRefused), SocketError.system(.connectionRefused)),
    ]
    for (cause, _) in causes {
      let error: any Error = SocketError(.receive, cause)
      #expect(causes.filter { $0.1 ~= error }.map(\.0) == [cause])
      #expect(!(SocketError.system(.badAddress) ~= error) && !causes.contains { $0.1 ~= cause })
    }
  }

  /// Two clients, in a child task each, and then the stop of their server.
  private func ask(_ address: SocketAddress, thenStop handle: ListenerHandle) async throws -> [String?] {
    defer { handle.stop() }
    return try await withThrowingTaskGroup(of: String?.self) { group in
      for _ in 0..<2 {
        group.addTask { try await withConnection(to: address) { client in try await client.receiveLine() }.result }
      }
      var lines: [String?] = []
      while let line = try await group.next() { lines.append(line) }
      return lines
    }
  }

  @Test("child tasks: connections opened in the child, a listener's handle, and shared references")
  func children() async throws {
    let replies = try await withListener(at: SocketAddress.loopback(port: 0)) { listener in
      let (address, handle) = (listener.localAddress, listener.handle)
      async let replies = ask(address, thenStop: handle)
      let report = await listener.serve { client in try await client.send("hello\n") }
      #expect(report.served == 2)
      return try await replies
    }
    #expect(replies == ["hello", "hello"])

    let pair = try Connection.pair()
    let (first, second) = (pair.first.share(), pair.second.share())
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await first.send("1\n") }
      group.addTask { try await first.send("2\n") }
    }
    #expect(Set([try await second.receiveLine(), try await second.receiveLine()]) == ["1", "2"])
    await first.abort()
    await second.abort()
  }
}
