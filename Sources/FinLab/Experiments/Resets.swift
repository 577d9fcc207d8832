import Fin
internal import FinBase
import Glibc

/// Experiments about resets, and about the calls that report them.
enum Resets {
  static let shutdownError = Experiment(
    id: "shutdown-error", articles: [.a],
    claim: "shutdown on a non-blocking socket may raise an error.",
    truth: """
      Only ENOTCONN: never connected, ended both ways, or reset; being non-blocking has nothing to do with it. \
      After a reset, SO_ERROR still holds the cause.
      """,
    naive: { notebook in
      try notebook.trial("shutdown(SHUT_RDWR) on non-blocking sockets") { trial in
        func tell(_ what: String, _ answer: Answer, _ wanted: String) {
          trial.expect(what, .text(answer.description), from: "shutdown", equals: .text(wanted))
        }
        let fresh = RawSyscalls.socket(nonblocking: true)
        tell("never connected", RawSyscalls.shutdown(fresh, .both), "ENOTCONN")
        RawSyscalls.close(fresh)

        let full = try Pair()
        _ = RawSyscalls.fill(full.client)
        RawSyscalls.setNonblocking(full.client)
        tell("connected, everything full", RawSyscalls.shutdown(full.client, .both), "0")
        RawSyscalls.close(full.client)
        RawSyscalls.close(full.server)

        let ended = try Pair()
        RawSyscalls.close(ended.server)
        _ = RawSyscalls.recv(ended.client)
        RawSyscalls.setNonblocking(ended.client)
        tell("the peer ended, now we", RawSyscalls.shutdown(ended.client, .sending), "0")
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: ended.client) == "CLOSED" }
        tell("ended both ways", RawSyscalls.shutdown(ended.client, .both), "ENOTCONN")
        RawSyscalls.close(ended.client)

        let reset = try Pair()
        RawSyscalls.setNonblocking(reset.client)
        RawSyscalls.setResetOnClose(reset.server)
        RawSyscalls.close(reset.server)
        _ = RawSyscalls.poll(reset.client, POLLIN, within: .seconds(1))
        let said = RawSyscalls.shutdown(reset.client, .both)
        tell("reset by the peer", said, "ENOTCONN")
        let cause = RawSyscalls.pendingError(reset.client)
        trial.expect("and the cause", .text(cause), from: "SO_ERROR", equals: .text("ECONNRESET"))
        RawSyscalls.close(reset.client)
        trial.outcome = "after a reset: \(said), and SO_ERROR has \(cause)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("the peer resets; finishSending(); receive(); receive(); close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        RawSyscalls.setResetOnClose(pair.plain)
        RawSyscalls.close(pair.plain)
        _ = RawSyscalls.poll(pair.ends.number, POLLIN, within: .seconds(1))
        let receiving = pair.fin.finishSending()
        let first = await Outcome(try await receiving.receive(upTo: 1)).told
        let second = await Outcome(try await receiving.receive(upTo: 1)).told
        trial.expect("receive said", .text(first), from: "receive", equals: .text(".reset"))
        trial.expect("and again", .text(second), from: "receive", equals: .text(".reset"))
        let report = await receiving.close()
        trial.note("ending", .text("\(report.ending)"), from: "CloseReport")
        trial.expect("delivered", .flag(report.isDelivered), from: "CloseReport", equals: .flag(false))
        trial.outcome = "finishing did not fail; receive said \(first), again \(second)"
      }
    })

  static let reset = Experiment(
    id: "reset", articles: [.a],
    claim: "A reset must be handled, and the socket cleaned up.",
    truth: """
      It is reported once. If a send reports it, later reads return what is left and then a clean end of file, as if \
      the peer had finished.
      """,
    naive: { notebook in
      try notebook.trial("send() fails; recv() until it returns nothing") { trial in
        let pair = try Pair()
        _ = RawSyscalls.send(pair.server, "half a mess")
        RawSyscalls.setResetOnClose(pair.server)
        RawSyscalls.close(pair.server)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: pair.client) == "CLOSED" }
        let sent = RawSyscalls.send(pair.client, "more")
        trial.expect("send said", .text(sent.description), from: "send", equals: .text("ECONNRESET"))
        let (count, end) = RawSyscalls.receiveAll(pair.client)
        trial.expect("then recv gave", .bytes(count), from: "recv", equals: .bytes(11))
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
        RawSyscalls.close(pair.client)
        trial.outcome = "\(count) bytes of a broken message, then \(end.received)"
      }
      try notebook.trial("recv() until it returns nothing or fails, and once more") { trial in
        let pair = try Pair()
        _ = RawSyscalls.send(pair.server, "half a mess")
        RawSyscalls.setResetOnClose(pair.server)
        RawSyscalls.close(pair.server)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: pair.client) == "CLOSED" }
        let (count, end) = RawSyscalls.receiveAll(pair.client)
        trial.expect("recv gave", .bytes(count), from: "recv", equals: .bytes(11))
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("ECONNRESET"))
        let again = RawSyscalls.recv(pair.client)
        trial.expect("and once more", .text(again.received), from: "recv", equals: .text("end of file"))
        RawSyscalls.close(pair.client)
        trial.outcome = "\(end.received) once, then \(again.received)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("send() fails; receive() until it returns nothing or fails, and once more") { trial in
        let pair = try await FinPair.connecting(in: world)
        _ = RawSyscalls.send(pair.plain, "half a mess")
        RawSyscalls.setResetOnClose(pair.plain)
        RawSyscalls.close(pair.plain)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: pair.ends.number) == "CLOSED" }
        let sent = await Outcome(try await pair.fin.send("more")).error?.told ?? "sent"
        trial.expect("send said", .text(sent), from: "send", equals: .text(".reset"))
        let first = await Outcome(try await pair.fin.receive(upTo: 64)).told
        let second = await Outcome(try await pair.fin.receive(upTo: 64)).told
        let third = await Outcome(try await pair.fin.receive(upTo: 64)).told
        trial.expect("then receive gave", .text(first), from: "receive", equals: .text("\"half a mess\""))
        trial.expect("and then", .text(second), from: "receive", equals: .text(".reset"))
        trial.expect("and once more", .text(third), from: "receive", equals: .text(".reset"))
        let report = await pair.fin.close()
        trial.expect("delivered", .flag(report.isDelivered), from: "CloseReport", equals: .flag(false))
        trial.outcome = "the bytes that had arrived, then \(second), and \(third) every time"
      }
    })

  static let bypass = Experiment(
    id: "bypass", articles: [.c],
    claim: "If the state is no longer valid, skip the shutdown and just free the socket.",
    truth: """
      Reset the connection: the reset is sent at once and nothing stays. A plain close leaves a connection without \
      an owner, for minutes if the peer does not read or is gone.
      """,
    naive: { notebook in
      try notebook.trial("close(), with bytes that the peer does not read") { trial in
        let pair = try Pair()
        _ = RawSyscalls.fill(pair.client)
        RawSyscalls.close(pair.client)
        pause(.milliseconds(300))
        let row = pair.clientRow
        trial.expect(
          "0.3 s later its state is", .text(row?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("FIN-WAIT-1"))
        trial.expect("whose inode is", .count(Int(row?.inode ?? 1)), from: "/proc/net/tcp", equals: .count(0))
        trial.note("not acknowledged", .bytes(row?.unsent ?? 0), from: "/proc/net/tcp")
        trial.note("its timer", .text(row?.timer ?? "none"), from: "/proc/net/tcp")
        RawSyscalls.close(pair.server)
        trial.outcome = "an orphan in \(row?.state ?? "nothing") with \((row?.unsent ?? 0).grouped) bytes"
      }
      try notebook.trial("SO_LINGER {1, 0}; close()") { trial in
        let pair = try Pair()
        _ = RawSyscalls.fill(pair.client)
        RawSyscalls.setResetOnClose(pair.client)
        RawSyscalls.close(pair.client)
        let state = pair.clientRow?.state ?? "gone"
        trial.expect("its state", .text(state), from: "/proc/net/tcp", equals: .text("gone"))
        let (_, end) = RawSyscalls.receiveAll(pair.server)
        trial.expect("the peer received", .text(end.received), from: "recv", equals: .text("ECONNRESET"))
        RawSyscalls.close(pair.server)
        trial.outcome = "\(state) at once; the peer got \(end.received)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.abort()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        _ = await pair.fin.fill()
        let begun = ContinuousClock.now
        let report = pair.fin.abort()
        let seconds = (ContinuousClock.now - begun).inSeconds
        trial.expect(report, ending: .aborted)
        trial.note("after", .seconds(seconds), from: "the clock")
        let state = ends.finState
        trial.expect("its state", .text(state), from: "/proc/net/tcp", equals: .text("gone"))
        let (_, end) = RawSyscalls.receiveAll(plain)
        trial.expect("the peer received", .text(end.received), from: "recv", equals: .text("ECONNRESET"))
        RawSyscalls.close(plain)
        trial.outcome = "\(state) at once; the peer got \(end.received)"
      }
      try await notebook.trial("connection.close(.background(orphanTimeout: 0.5 s))") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        _ = await pair.fin.fill()
        let begun = ContinuousClock.now
        let report = await pair.fin.close(.background(orphanTimeout: .milliseconds(500)))
        let seconds = (ContinuousClock.now - begun).inSeconds
        trial.expect(report, ending: .background)
        trial.expect("close took", .seconds(seconds), from: "the clock", "next to nothing", seconds < 0.3)
        trial.expect("then its state is", .text(ends.finState), from: "/proc/net/tcp", equals: .text("FIN-WAIT-1"))
        let (gone, lived) = timed { wait(atMost: .seconds(5)) { ends.finRow == nil } }
        trial.expect("the orphan lived for", .seconds(lived), from: "/proc/net/tcp", "less than 5 s", gone)
        RawSyscalls.close(plain)
        trial.outcome = "the orphan was gone after \(lived.time)"
      }
    })
}
