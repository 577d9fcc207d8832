import Fin
import Glibc

/// Experiments about connecting.
enum Attempts {
  static let failedConnect = Experiment(
    id: "failed-connect", articles: [.b],
    claim: "A failed connect leaves the socket closed: try again with it.",
    truth: """
      The state of the socket is then unspecified (POSIX). On Linux the next connect of a non-blocking socket fails \
      with ECONNABORTED, once, even if the server is listening by then.
      """,
    naive: { notebook in
      try notebook.trial("connect() until it works, one non-blocking socket") { trial in
        let listener = RawSyscalls.socket()
        _ = RawSyscalls.bind(listener)
        let port = RawSyscalls.port(of: listener)
        let client = RawSyscalls.socket(nonblocking: true)
        let first = RawSyscalls.connect(client, port: port)
        trial.note("without a listener: connect said", .text(first.description), from: "connect")
        let events = RawSyscalls.poll(client, POLLOUT, within: .seconds(1))
        trial.expect(
          "it failed", .flag(events & POLLERR != 0 || first.code == ECONNREFUSED), from: "poll", equals: .flag(true))
        let cause = RawSyscalls.pendingError(client)
        trial.note("because of", .text(cause), from: "SO_ERROR")
        _ = RawSyscalls.listen(listener)
        let second = RawSyscalls.connect(client, port: port)
        trial.expect(
          "with a listener: connect said", .text(second.description), from: "connect", equals: .text("ECONNABORTED"))
        let third = RawSyscalls.connect(client, port: port)
        trial.note("and once more", .text(third.description), from: "connect")
        RawSyscalls.close(client)
        RawSyscalls.close(listener)
        trial.outcome = "the server was listening, and connect said \(second)"
      }
      try notebook.trial("a new socket for each attempt") { trial in
        let listener = RawSyscalls.socket()
        _ = RawSyscalls.bind(listener)
        let port = RawSyscalls.port(of: listener)
        let client = RawSyscalls.socket()
        let first = RawSyscalls.connect(client, port: port)
        RawSyscalls.close(client)
        _ = RawSyscalls.listen(listener)
        let next = RawSyscalls.socket()
        let second = RawSyscalls.connect(next, port: port)
        trial.expect(
          "without a listener: connect said", .text(first.description), from: "connect", equals: .text("ECONNREFUSED"))
        trial.expect("with a listener", .text(second.description), from: "connect", equals: .text("0"))
        RawSyscalls.close(next)
        RawSyscalls.close(listener)
        trial.outcome = "connect says \(second)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("Connection.connect(to:), twice") { trial in
        let listener = RawSyscalls.socket()
        _ = RawSyscalls.bind(listener)
        let address = SocketAddress.loopback(port: RawSyscalls.port(of: listener))
        let before = Kernel.openSockets().count
        let first = await Outcome(try await world.connect(to: address).close())
        let said = first.error.map { "\($0)" } ?? "connected"
        trial.expect(
          "without a listener: refused", .flag(said.contains("ECONNREFUSED")), from: "connect", equals: .flag(true))
        trial.note("in words", .text(said), from: "connect")
        let left = Kernel.openSockets().count - before
        trial.expect("sockets left by the attempt", .count(left), from: "/proc/self/fd", equals: .count(0))
        _ = RawSyscalls.listen(listener)
        let second = await Outcome(try await world.connect(to: address).abort())
        let then = second.error.map { "\($0)" } ?? "connected"
        trial.expect("with a listener", .text(then), from: "connect", equals: .text("connected"))
        RawSyscalls.close(listener)
        trial.outcome = "the next attempt \(then), on a socket of its own"
      }
    })
}
