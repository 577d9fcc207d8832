import Fin
import Foundation
import HTTPExample
import HTTPTypes
import Synchronization
import Testing

@Suite("A stop: what has begun is answered, with Connection: close, and no request is lost", .timeLimit(.minutes(2)))
struct Draining {
  @Test(
    "a request that is under way at the stop is answered, and those that were sent ahead of its answer are not served")
  func announced() async throws {
    let (arrived, notes) = (Notes<Void>(), Notes<String>())
    let server = HTTPServer { request, _, connection in
      notes.add(request.path ?? "")
      arrived.add(())
      while !connection.isDraining { try await Task.sleep(for: .milliseconds(2)) }
      return HTTPReply(.ok, .text("hi"))
    }
    let (_, report) = try await withServer(server) { place, handle in
      async let answer = talk(place, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
      while arrived.all.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
      handle.stop(within: .seconds(60))
      #expect(try await answer == "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
    }
    #expect(notes.all == ["/1"])
    #expect(report.served == 1 && report.abortedAtStop == 0 && report.handlersFailed == 0, "\(report)")
  }

  @Test("a client that is idle at the stop gets a FIN at once")
  func idle() async throws {
    let (end, report) = try await withServer(Responses.server) { place, handle in
      let connection = try await Connection.connect(to: place)
      try await connection.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
      _ = try await connection.receive(until: Array("\r\n\r\n".utf8))
      handle.stop(within: .seconds(60))
      let end = try await connection.receive(upTo: 1)
      await connection.close()
      return end
    }
    #expect(end == nil)
    #expect(report.endings == [.peerFinished: 1] && report.atStop.busy == 0, "\(report)")
  }

  @Test("a server is replaced by another one under load: every request is answered once, and none fails")
  func replaced() async throws {
    let (executed, answered, last) = (Notes<String>(), Notes<String>(), Notes<String>())
    let server = HTTPServer { request, _, connection in
      executed.add(request.path ?? "")
      // One answer is under way at the stop.
      while request.path == "/1/0", !connection.isDraining { try await Task.sleep(for: .milliseconds(2)) }
      return HTTPReply(.ok, .text(request.path ?? ""))
    }
    // Two listeners on one socket, as a server and its successor have after a handover.
    let bound = try Listener.bind(.loopback(port: 0)).detach().rawValue
    let first = try Listener.adopt(.init(rawValue: bound))
    let second = try Listener.adopt(.init(rawValue: dup(bound)))
    let (stopFirst, stopSecond, place) = (first.handle, second.handle, Endpoint(first.localAddress))
    let isStopped = AsyncStream<Void>.makeStream()
    let clients = Task {
      defer { stopSecond.stop(within: .seconds(60)) }
      return try await withClient(of: place, pool: PoolLimits(connections: 8)) { client in
        try await withThrowingDiscardingTaskGroup { group in
          for number in 0..<8 {
            group.addTask {
              for round in 0..<100 {
                let path = "/\(number)/\(round)"
                let (response, body) = try await client.fetch(.get, path, retrying: .repeatable)
                #expect(text(body) == path)
                if response.headerFields[.connection] == "close" { last.add(path) }
                answered.add(path)
                if path == "/0/40" {
                  stopFirst.stop(within: .seconds(60))
                  isStopped.continuation.finish()
                }
              }
            }
          }
        }
      }.report
    }
    let waiting = Mutex<Listener?>(second)
    let next = Task { () async -> ServerReport? in
      for await _ in isStopped.stream {}
      guard let second = waiting.withLock({ $0.take() }) else { return nil }
      return await second.serve { connection in try await server.converse(over: connection) }
    }
    let firstReport = await first.serve { connection in try await server.converse(over: connection) }
    let secondReport = try #require(await next.value)
    let pool = try await clients.value
    #expect(Set(answered.all).count == 800 && answered.all.count == 800)
    #expect(executed.all.sorted() == answered.all.sorted(), "\(pool)")
    #expect(firstReport.abortedAtStop == 0 && firstReport.handlersFailed == 0, "\(firstReport)")
    // At most one such answer on a connection. A stop also serves clients that were in the accept queue.
    #expect(last.all.contains("/1/0") && last.all.count <= firstReport.served, "\(last.all), \(firstReport)")
    #expect(firstReport.served + secondReport.served == pool.dialed, "\(firstReport); \(secondReport); \(pool)")
  }
}
