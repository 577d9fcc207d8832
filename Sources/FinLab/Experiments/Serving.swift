import CFin
import Fin
import Glibc

/// Experiments with a server at its limits.
enum Serving {
  static let limits = Experiment(
    id: "limits", articles: [.b],
    claim: "Too many connections exhaust the system.",
    truth: """
      Descriptors run out first. accept fails with EMFILE even if no client waits, an edge-triggered poller reports a \
      waiting client once and never again, and a loop that ends on the error never serves another client.
      """,
    naive: { notebook in
      try notebook.trial("accept() when the descriptors are gone") { trial in
        let listener = try Pair.listener()
        RawSyscalls.setNonblocking(listener)
        let client = RawSyscalls.socket()
        let poller = try EdgePoller(of: listener)
        let table = DescriptorTable()
        table.fill()
        let empty = RawSyscalls.accept(listener)
        trial.expect("without a client, accept said", .text(empty.description), from: "accept", equals: .text("EMFILE"))
        _ = RawSyscalls.connect(client, port: RawSyscalls.port(of: listener))
        let first = poller.events(within: .milliseconds(500))
        trial.expect("a client connects: events", .count(first), from: "epoll_wait", equals: .count(1))
        let full = RawSyscalls.accept(listener)
        trial.expect("accept said", .text(full.description), from: "accept", equals: .text("EMFILE"))
        table.empty()
        let again = poller.events(within: .milliseconds(200))
        trial.expect("descriptors are free again: events", .count(again), from: "epoll_wait", equals: .count(0))
        let late = RawSyscalls.accept(listener)
        trial.expect(
          "accept, called without an event", .text(late.succeeded ? "took it" : late.description), from: "accept",
          equals: .text("took it"))
        for descriptor in [listener, client, Int32(late.value)] { RawSyscalls.close(descriptor) }
        trial.outcome = "\(empty) without a client; then \(again) events for one that waits"
      }
      try notebook.trial("while accept() >= 0: serve()") { trial in
        let listener = try Pair.listener()
        let port = RawSyscalls.port(of: listener)
        let clients = [RawSyscalls.socket(), RawSyscalls.socket()]
        let table = DescriptorTable()
        table.fill()
        let server = WorkerThread {
          var served = 0
          while case let answer = RawSyscalls.accept(listener), answer.succeeded {
            RawSyscalls.close(Int32(answer.value))
            served += 1
          }
          return served
        }
        _ = RawSyscalls.connect(clients[0], port: port)
        let served = server.answer(within: .seconds(1))
        table.empty()
        _ = RawSyscalls.connect(clients[1], port: port)
        let heard = RawSyscalls.poll(clients[1], POLLIN, within: .milliseconds(300))
        trial.expect("the loop ended, having served", .count(served ?? -1), from: "the thread", equals: .count(0))
        trial.expect("a later client is served", .flag(heard != 0), from: "poll", equals: .flag(false))
        for descriptor in clients + [listener] { RawSyscalls.close(descriptor) }
        trial.outcome = "the loop ended for good after \(served ?? -1) clients"
      }
    },
    fin: { notebook, world in
      try notebook.trial("\(world.serve(64)), \(clientCount) clients and \(spareCount) descriptors") { trial in
        let failure = Box<String>()
        let server = try FinServer(in: world) { listener in
          await listener.serve(atMost: 64) { connection in
            do throws(SocketError) {
              _ = try await connection.receive(upTo: 1)
              try await connection.send("served")
            } catch {
              failure.put("\(error)")
              throw error
            }
          }
        }
        let number = try FinPair.number(of: server.handle)
        let clients = (0..<clientCount).map { _ in RawSyscalls.socket() }
        let table = DescriptorTable()
        table.fill(spare: spareCount)
        for client in clients { _ = RawSyscalls.connect(client, port: server.port) }
        // Waits until the server has accepted as many clients as it has descriptors for, and the queue is stable.
        var queued = clientCount
        _ = wait(atMost: .seconds(5)) {
          pause(.milliseconds(100))
          defer { queued = Kernel.queueLength(of: number) }
          return queued < clientCount && queued == Kernel.queueLength(of: number)
        }
        let begun = ContinuousClock.now
        var replies = 0
        for client in clients {
          _ = RawSyscalls.send(client, "?")
          if RawSyscalls.poll(client, POLLIN, within: .seconds(5)) != 0 && RawSyscalls.receive(client).text == "served"
          {
            replies += 1
          }
          RawSyscalls.close(client)
        }
        let seconds = (ContinuousClock.now - begun).inSeconds
        let late = RawSyscalls.socket()
        _ = RawSyscalls.connect(late, port: server.port)
        _ = RawSyscalls.send(late, "?")
        let served =
          RawSyscalls.poll(late, POLLIN, within: .seconds(2)) != 0 && RawSyscalls.receive(late).text == "served"
        RawSyscalls.close(late)
        table.empty()
        server.handle.stop()
        let report = try server.answer()
        trial.expect(
          "clients in the queue", .count(queued), from: "TCP_INFO", "some, not all", queued > 0 && queued < clientCount)
        trial.expect("clients served", .count(replies), from: "recv", equals: .count(clientCount))
        trial.expect("and a later one", .flag(served), from: "recv", equals: .flag(true))
        trial.expect(
          "out of descriptors", .count(report.timesOutOfDescriptors), from: "ServerReport", "at least once",
          report.timesOutOfDescriptors > 0)
        trial.expect("handlers that failed", .count(report.handlersFailed), from: "ServerReport", equals: .count(0))
        if let failure = failure.content { trial.note("the last failure", .text(failure), from: "SocketError") }
        trial.note("clients reset in the queue", .count(report.clientsReset), from: "ServerReport")
        trial.note("all were served within", .seconds(seconds), from: "the clock")
        trial.outcome = "\(replies) of \(clientCount) clients served with \(spareCount) descriptors"
      }
    })

  private static let clientCount = 40
  private static let spareCount = 16
}

/// The descriptors of this process, whose number can be limited.
final class DescriptorTable {
  private var taken: [Int32] = []
  private var before = rlimit()

  /// Lowers the limit of descriptors, and takes all that are free except `spare`.
  func fill(spare: Int = 0) {
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
    var limit = before
    limit.rlim_cur = 256
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    while case let copy = RawSyscalls.dup(0), copy >= 0 { taken.append(copy) }
    for _ in 0..<spare { if let copy = taken.popLast() { RawSyscalls.close(copy) } }
  }

  /// Closes the descriptors taken, and restores the limit.
  func empty() {
    for descriptor in taken { RawSyscalls.close(descriptor) }
    taken = []
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &before)
  }
}
