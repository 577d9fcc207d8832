import Fin
import Glibc
import Synchronization

/// Experiments about closing a socket that another thread waits in.
enum Threads {
  static let lock = Experiment(
    id: "lock", articles: [.a, .b],
    claim: "Hold a lock around close when threads share a socket.",
    truth: """
      Either a reader that waits in recv holds the lock, and close never gets it; or it does not, and the lock is \
      useless: close does not wake the reader, sends nothing, and later bytes go to the reader of a closed socket.
      """,
    naive: { notebook in
      try notebook.trial("lock: close(fd), a thread waits in recv(fd) without the lock") { trial in
        let pair = try Pair()
        let reader = WorkerThread { RawSyscalls.receive(pair.server) }
        let slept = reader.sleeps()
        let lock = Mutex(())
        let closed = lock.withLock { _ in RawSyscalls.close(pair.server) }
        pause(.milliseconds(200))
        trial.expect("the reader waited in recv", .flag(slept), from: "/proc/self/task", equals: .flag(true))
        trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
        trial.expect("0.2 s later the reader waits", .flag(reader.isRunning), from: "the thread", equals: .flag(true))
        trial.expect("the descriptor is open", .flag(Kernel.isOpen(pair.server)), from: "fcntl", equals: .flag(false))
        let state = pair.serverRow?.state ?? "gone"
        trial.expect("state", .text(state), from: "/proc/net/tcp", equals: .text("ESTABLISHED"))
        _ = RawSyscalls.send(pair.client, "late")
        let text = try reader.answer(orMishap: "the reader").text
        trial.expect("the reader then got", .text(text), from: "recv", equals: .text("late"))
        RawSyscalls.close(pair.client)
        trial.outcome = "the reader kept waiting in \(state), and read \"\(text)\" after the close"
      }
      try notebook.trial("lock: close(fd), a thread waits in recv(fd) with the lock") { trial in
        let pair = try Pair()
        let lock = Shared(Mutex(()))
        let reader = WorkerThread { lock.mutex.withLock { _ in RawSyscalls.receive(pair.server).answer } }
        let slept = reader.sleeps()
        let (got, seconds) = timed {
          wait(atMost: .milliseconds(300)) { lock.mutex.withLockIfAvailable { _ in true } ?? false }
        }
        trial.expect("the reader waited in recv", .flag(slept), from: "/proc/self/task", equals: .flag(true))
        trial.expect("the lock was acquired", .flag(got), from: "the lock", equals: .flag(false))
        trial.note("waited for", .seconds(seconds), from: "the clock")
        _ = RawSyscalls.send(pair.client, "enough")
        _ = try reader.answer(orMishap: "the reader")
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = got ? "the lock was acquired" : "close would wait until the peer sends something"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("shared.close(), a \(world.worker) waits in shared.receive()") { trial in
        let pair = try await FinPair.accepting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let shared = pair.fin.share()
        let clock = ContinuousClock()
        let reader = try world.start { () async -> (String, ContinuousClock.Instant) in
          let told = await Outcome(try await shared.receive(upTo: 64)).told
          return (told, clock.now)
        }
        let waited = reader.waits()
        let begun = clock.now
        let report = await shared.close()
        let (told, woken) = try reader.answer(orMishap: "the reader")
        let seconds = (woken - begun).inSeconds
        trial.expect("the reader was waiting", .flag(waited), from: "/proc/self/task", equals: .flag(true))
        trial.expect("its receive said", .text(told), from: "receive", equals: .text(".closed"))
        trial.expect("after", .seconds(seconds), from: "the clock", "less than 1 s", seconds < 1)
        trial.expect(report, ending: .acknowledged)
        trial.expect("the descriptor is open", .flag(Kernel.isOpen(ends.number)), from: "fcntl", equals: .flag(false))
        let state = ends.finState
        trial.expect("state", .text(state), from: "/proc/net/tcp", equals: .text("FIN-WAIT-2"))
        RawSyscalls.close(plain)
        trial.outcome = "the reader got \(told) after \(seconds.time); then \(state)"
      }
    })

  /// A lock that two threads can refer to.
  private final class Shared: Sendable {
    let mutex: Mutex<Void>
    init(_ mutex: consuming sending Mutex<Void>) { self.mutex = mutex }
  }

  static let blockedAccept = Experiment(
    id: "blocked-accept", articles: [.b],
    claim: "Closing the listener stops the server.",
    truth: """
      A thread that waits in accept keeps waiting, the port keeps listening, and the thread takes the next client \
      after the close.
      """,
    naive: { notebook in
      try notebook.trial("close(listener), a thread waits in accept(listener)") { trial in
        let listener = try Pair.listener()
        let port = RawSyscalls.port(of: listener)
        let server = WorkerThread { RawSyscalls.accept(listener) }
        let slept = server.sleeps()
        let closed = RawSyscalls.close(listener)
        pause(.milliseconds(200))
        trial.expect("the thread waited in accept", .flag(slept), from: "/proc/self/task", equals: .flag(true))
        trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
        trial.expect("0.2 s later the thread waits", .flag(server.isRunning), from: "the thread", equals: .flag(true))
        let state = TCPTable.row(local: port, remote: 0)?.state ?? "gone"
        trial.expect("the port is in", .text(state), from: "/proc/net/tcp", equals: .text("LISTEN"))
        let client = RawSyscalls.socket()
        let connected = RawSyscalls.connect(client, port: port)
        trial.expect("a client's connect said", .text(connected.description), from: "connect", equals: .text("0"))
        let accepted = try server.answer(orMishap: "the server's thread")
        trial.expect(
          "and accept took it", .flag(accepted.succeeded), from: "accept", equals: .flag(true))
        let next = RawSyscalls.socket()
        let refused = RawSyscalls.connect(next, port: port)
        trial.note("the next client's connect said", .text(refused.description), from: "connect")
        for descriptor in [client, next, Int32(accepted.value)] { RawSyscalls.close(descriptor) }
        trial.outcome =
          "\(state) after close; then \(accepted.succeeded ? "one more client" : "no client") was accepted"
      }
    },
    fin: { notebook, world in
      try notebook.trial("handle.stop(), a \(world.worker) waits in listener.accept()") { trial in
        let server = try FinServer(in: world) { (listener) async -> String in
          await Outcome(try await listener.accept().abort()).error?.told ?? "a client"
        }
        let slept = server.running.waits()
        trial.expect("the \(world.worker) was waiting", .flag(slept), from: "/proc/self/task", equals: .flag(true))
        let (told, seconds) = try timed {
          server.handle.stop()
          return try server.answer()
        }
        trial.expect("its accept said", .text(told), from: "accept", equals: .text(".closed"))
        trial.expect("after", .seconds(seconds), from: "the clock", "less than 1 s", seconds < 1)
        let state = TCPTable.row(local: server.port, remote: 0)?.state ?? "gone"
        trial.expect("the port is", .text(state), from: "/proc/net/tcp", equals: .text("gone"))
        let client = RawSyscalls.socket()
        let refused = RawSyscalls.connect(client, port: server.port)
        trial.expect(
          "the next client's connect said", .text(refused.description), from: "connect", equals: .text("ECONNREFUSED"))
        RawSyscalls.close(client)
        trial.outcome = "the \(world.worker) got \(told) after \(seconds.time); the next client \(refused)"
      }
      try notebook.trial("handle.stop(), listener.serve() with one client being served and one in the queue") { trial in
        let server = try FinServer(in: world) { listener in
          await listener.serve(atMost: 1) { connection in
            _ = try await connection.receive(upTo: 1)
            try await connection.send("served")
          }
        }
        let number = try FinPair.number(of: server.handle)
        let clients = [RawSyscalls.socket(), RawSyscalls.socket()]
        for client in clients { _ = RawSyscalls.connect(client, port: server.port) }
        let queued = wait(atMost: .seconds(5)) {
          Kernel.queueLength(of: number) == 1
        }
        server.handle.stop(within: .seconds(5))
        let replies = clients.map { client in
          _ = RawSyscalls.send(client, "?")
          let reply = RawSyscalls.receive(client).text
          RawSyscalls.close(client)
          return reply
        }
        let report = try server.answer()
        trial.expect("one was in the queue", .flag(queued), from: "TCP_INFO", equals: .flag(true))
        trial.expect("the client being served got", .text(replies[0]), from: "recv", equals: .text("served"))
        trial.expect("the one in the queue got", .text(replies[1]), from: "recv", equals: .text("served"))
        trial.expect("served", .count(report.served), from: "ServerReport", equals: .count(2))
        trial.expect("reset in the queue", .count(report.clientsReset), from: "ServerReport", equals: .count(0))
        trial.outcome = "stopped with \(report.served) served and \(report.clientsReset) reset"
      }
    })
}
