import Fin
import Foundation
import HTTPExample
import Testing

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

@Suite("Hummingbird on a listener of Fin's", .timeLimit(.minutes(2)))
struct HummingbirdOnFin {
  /// What a service manager does: a listening socket as descriptor 3, named `web`, and the variables that say so.
  private static let activation = [
    "python3", "-c",
    """
    import os, socket, sys
    s = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=512)
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)  # it may have been 3 before
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
    os.execv(sys.argv[2], sys.argv[2:])
    """, "0",
  ]

  @Test(
    "socket activation: it serves the socket that it inherited, and ends with status 0 when it is terminated",
    .enabled(if: exists("python3") && exists("ss")))
  func activated() async throws {
    let server = try await Server(["127.0.0.1:1"], activator: Self.activation)
    defer { if server.process.isRunning { server.process.terminate() } }
    let words = server.line.split(separator: " ")
    try #require(words.first == "inherited", "\(server.line)")
    let place = try Endpoint(parsing: String(words[1]))
    let client = HTTPClient(over: ConnectionPool(to: place), host: "test")
    let body = String(repeating: "hello ", count: 20_000)
    for _ in 0..<3 {
      #expect(text(try await client.fetch(.get, "/").body) == "hummingbird\n")
      // Hummingbird streams it back in chunks while it comes.
      #expect(text(try await client.fetch(.post, "/echo", .text(body)).body) == body)
      let stream = HTTPContent.stream { write in for part in ["one", "two"] { try await write(Array(part.utf8)) } }
      #expect(text(try await client.fetch(.post, "/echo", stream).body) == "onetwo")
    }
    #expect(try await client.fetch(.head, "/").body == [])
    #expect(try await client.fetch(.get, "/none").response.status == .notFound)
    let report = await client.pool.close()
    #expect(report.dialed == 1 && report.failed == 0, "\(report)")
    #expect(await server.terminate() == 0)
  }

  @Test("handover: a server of Fin's alone is followed by Hummingbird on the same socket, and no request fails")
  func handedOver() async throws {
    let folder = NSTemporaryDirectory() + "ecosystem-\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/handover"

    let listener = try Listener.bind(.loopback(port: 0))
    let place = Endpoint(listener.localAddress)
    let handover = try Handover(offering: ["web": listener.handle], at: .unix(path))
    async let succession = handover.awaitSuccessor(draining: .seconds(30))
    let (answers, isStopping) = (Notes<String>(), Notes<Bool>())
    let handle = listener.handle
    let clients = Task {
      // Nothing is left to stop when the successor has it.
      defer { handle.stop(within: .seconds(60)) }
      let client = HTTPClient(over: ConnectionPool(to: place, limits: PoolLimits(connections: 4)), host: "test")
      try await withThrowingDiscardingTaskGroup { tasks in
        for _ in 0..<4 {
          tasks.addTask {
            while isStopping.all.isEmpty {
              answers.add(text(try await client.fetch(.get, "/", retrying: .repeatable).body))
            }
          }
        }
        tasks.addTask {
          defer { isStopping.add(true) }
          while answers.all.count < 50 { try await Task.sleep(for: .milliseconds(5)) }
          let successor = try await Server(["127.0.0.1:1", path])
          #expect(successor.line == "took over \(place)")
          // Both have answered then.
          let deadline = ContinuousClock.now + .seconds(60)
          while !answers.all.contains("hummingbird\n"), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
          }
          isStopping.add(true)
          #expect(await successor.terminate() == 0)
        }
      }
      return await client.pool.close()
    }
    let server = HTTPServer { _, _, _ in HTTPReply(.ok, .text("fin\n")) }
    let report = await listener.serve { connection in try await server.converse(over: connection) }
    let pool = try await clients.value
    _ = try await succession
    #expect(Set(answers.all) == ["fin\n", "hummingbird\n"])
    #expect(report.abortedAtStop == 0 && report.clientsReset == 0 && report.handlersFailed == 0, "\(report)")
    #expect(pool.dialsFailed == 0, "\(pool)")
  }
}
