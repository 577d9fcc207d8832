import Fin
internal import FinBase
import Glibc

/// Experiments about what closing does, and what it does not do.
enum Closing {
  static let twoStep = Experiment(
    id: "two-step", articles: [.a],
    claim: "Closing is two steps: shut down, then release.",
    truth: """
      close alone sends the same FIN. The shutdown is for half-closing, for waking threads that wait, and for ending \
      a connection whatever else refers to it: on a descriptor shared by fork or dup, it ends it for all holders.
      """,
    naive: { notebook in
      for twoSteps in [false, true] {
        try notebook.trial(twoSteps ? "shutdown(SHUT_RDWR); close()" : "close() alone") { trial in
          let pair = try Pair()
          _ = RawSyscalls.send(pair.client, "hello")
          if twoSteps { _ = RawSyscalls.shutdown(pair.client, .both) }
          RawSyscalls.close(pair.client)
          let (count, end) = RawSyscalls.receiveAll(pair.server)
          trial.expect("the peer received", .bytes(count), from: "recv", equals: .bytes(5))
          trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
          trial.expect(
            "state of the peer", .text(Kernel.state(of: pair.server)), from: "TCP_INFO", equals: .text("CLOSE-WAIT"))
          RawSyscalls.close(pair.server)
          trial.outcome = "the peer read \(count) bytes and \(end.received)"
        }
      }
      for twoSteps in [true, false] {
        let recipe = twoSteps ? "shutdown(copy, SHUT_RDWR); close(copy)" : "close(copy)"
        try notebook.trial("\(recipe), as a forking server's parent does") { trial in
          let pair = try Pair()
          let copy = RawSyscalls.dup(pair.server)
          if twoSteps { _ = RawSyscalls.shutdown(copy, .both) }
          RawSyscalls.close(copy)
          let sent = RawSyscalls.send(pair.server, "reply")
          trial.expect(
            "the worker's send said", .text(sent.description), from: "send", equals: .text(twoSteps ? "EPIPE" : "5"))
          RawSyscalls.close(pair.server)
          let (count, end) = RawSyscalls.receiveAll(pair.client)
          trial.expect(
            "the client received", .bytes(count), from: "recv", equals: .bytes(twoSteps ? 0 : 5))
          trial.note("and then", .text(end.received), from: "recv")
          RawSyscalls.close(pair.client)
          trial.outcome = "the worker's send said \(sent); the client got \(count) bytes"
        }
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        try await pair.fin.send("hello")
        let report = await pair.fin.close()
        let (count, end) = RawSyscalls.receiveAll(plain)
        trial.expect("the peer received", .bytes(count), from: "recv", equals: .bytes(5))
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
        trial.expect(report, ending: .acknowledged)
        trial.expect("delivered", .flag(report.isDelivered), from: "CloseReport", equals: .flag(true))
        trial.expect("state", .text(ends.finState), from: "/proc/net/tcp", equals: .text("FIN-WAIT-2"))
        RawSyscalls.close(plain)
        trial.outcome = "the peer read \(count) bytes and \(end.received); the report: \(report.ending)"
      }
      try await notebook.trial("copy = connection.duplicate(); copy.close()") { trial in
        let pair = try await FinPair.accepting(in: world)
        let plain = pair.plain
        let copy = try pair.fin.duplicate()
        let first = await copy.close()
        trial.expect("the copy's ending", .text("\(first.ending)"), from: "CloseReport", equals: .text("shared"))
        let sent = await Outcome(try await pair.fin.send("reply"))
        trial.expect("the worker's send said", .text(sent.error?.told ?? "sent"), from: "send", equals: .text("sent"))
        let report = await pair.fin.close()
        let (count, end) = RawSyscalls.receiveAll(plain)
        trial.expect("the client received", .bytes(count), from: "recv", equals: .bytes(5))
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
        trial.expect(
          "the last one's ending", .text("\(report.ending)"), from: "CloseReport", equals: .text("acknowledged"))
        RawSyscalls.close(plain)
        trial.outcome = "closing a copy left the other usable: the client got \(count) bytes"
      }
    })

  static let scope = Experiment(
    id: "scope", articles: [.a, .b],
    claim: "A with block closes the socket on every path.",
    truth: """
      It does. It does not say whether the last bytes arrived, and if the body fails in the middle of a message, \
      the peer reads a clean end of file, as if the message were whole.
      """,
    naive: { notebook in
      try notebook.trial("with socket: send(everything)") { trial in
        let pair = try Pair()
        var closed = Answer(value: -1, code: 0)
        var taken = 0
        var waiting = 0
        do {
          defer { closed = RawSyscalls.close(pair.client) }
          taken = RawSyscalls.fill(pair.client)
          waiting = Kernel.unacknowledged(pair.client)
        }
        trial.note("send took", .bytes(taken), from: "send")
        trial.expect("not acknowledged at the end", .bytes(waiting), from: "SIOCOUTQ", "some", waiting > 0)
        trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
        // The peer's program ends without reading.
        RawSyscalls.close(pair.server)
        let gone = wait(atMost: .seconds(5)) { pair.clientRow == nil }
        trial.expect("the connection is gone", .flag(gone), from: "/proc/net/tcp", equals: .flag(true))
        trial.outcome = "\(waiting.grouped) bytes were lost after a block that ended without an error"
      }
      try notebook.trial("with socket: send(half); raise") { trial in
        let pair = try Pair()
        do {
          defer { RawSyscalls.close(pair.client) }
          _ = RawSyscalls.send(pair.client, "half a mess")
        }
        let (count, end) = RawSyscalls.receiveAll(pair.server)
        trial.note("the peer received", .bytes(count), from: "recv")
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
        RawSyscalls.close(pair.server)
        trial.outcome = "the peer read \(count) bytes and \(end.received)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("withConnection(to:) { send(everything) }") { trial in
        let listener = try Pair.listener()
        let endpoint = Endpoint(.loopback(port: RawSyscalls.port(of: listener)))
        let (taken, report) = try await world.withConnection(
          to: endpoint, closing: .confirmed(within: .milliseconds(300))
        ) { connection in await connection.fill() }
        trial.note("send took", .bytes(taken), from: "send")
        trial.expect(report, ending: .timedOut(.confirming))
        let lost = report.bytesUnacknowledged
        trial.expect("not acknowledged", .bytes(lost), from: "CloseReport", "some", lost > 0)
        trial.expect("delivered", .flag(report.isDelivered), from: "CloseReport", equals: .flag(false))
        RawSyscalls.close(listener)
        trial.outcome = "the scope's report: \(lost.grouped) bytes were not acknowledged"
      }
      try await notebook.trial("withConnection(to:) { send(half); throw }") { trial in
        let listener = try Pair.listener()
        let endpoint = Endpoint(.loopback(port: RawSyscalls.port(of: listener)))
        var thrown = "nothing"
        do {
          _ = try await world.withConnection(to: endpoint) { connection in
            try await connection.send("half a mess")
            throw SetupError("the body failed")
          }
        } catch { thrown = "\(error)" }
        let server = Int32(RawSyscalls.accept(listener).value)
        let (count, end) = RawSyscalls.receiveAll(server)
        trial.expect("thrown to the caller", .text(thrown), from: "catch", equals: .text("the body failed"))
        trial.note("the peer received", .bytes(count), from: "recv")
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("ECONNRESET"))
        RawSyscalls.close(server)
        RawSyscalls.close(listener)
        trial.outcome = "a body that fails: the peer read \(end.received)"
      }
    })

  static let timeouts = Experiment(
    id: "timeouts", articles: [.a],
    claim: "settimeout before close takes care of data still being sent.",
    truth: """
      It does nothing for close, which returns at once and leaves the rest to the kernel. Whether a send timed out \
      or not says nothing about what arrived.
      """,
    naive: { notebook in
      try notebook.trial("settimeout(5); send(); shutdown(SHUT_RDWR); close()") { trial in
        let pair = try Pair()
        RawSyscalls.setTimeout(pair.client, SO_SNDTIMEO, .seconds(5))
        RawSyscalls.setTimeout(pair.client, SO_RCVTIMEO, .seconds(5))
        let taken = RawSyscalls.fill(pair.client)
        trial.note("send took", .bytes(taken), from: "send")
        let (_, seconds) = timed {
          _ = RawSyscalls.shutdown(pair.client, .both)
          RawSyscalls.close(pair.client)
        }
        let row = pair.clientRow
        trial.expect("shutdown and close took", .seconds(seconds), from: "the clock", "far less than 5 s", seconds < 1)
        trial.expect(
          "state after the close", .text(row?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("FIN-WAIT-1"))
        let left = row?.unsent ?? 0
        trial.expect("still not acknowledged", .bytes(left), from: "/proc/net/tcp", "some", left > 0)
        RawSyscalls.close(pair.server)
        trial.outcome = "closed after \(seconds.time) with \(left.grouped) bytes in flight"
      }
      try notebook.trial("settimeout(0.2); sendall(more than fits)") { trial in
        let pair = try Pair()
        RawSyscalls.setTimeout(pair.client, SO_SNDTIMEO, .milliseconds(200))
        let (result, seconds) = timed { RawSyscalls.sendAll(pair.client, [UInt8](repeating: 0x62, count: 16_000_000)) }
        trial.expect("send said", .text(result.last.description), from: "send", equals: .text("EAGAIN"))
        trial.note("after", .seconds(seconds), from: "the clock")
        trial.note("having taken", .bytes(result.sent), from: "send")
        let arrived = Kernel.unread(pair.server)
        trial.expect(
          "of these, at the peer", .bytes(arrived), from: "SIOCINQ", "fewer than send took", arrived < result.sent)
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = "send took \(result.sent.grouped) bytes; \(arrived.grouped) were at the peer"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.close(.confirmed(within: 0.3 s))") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let taken = await pair.fin.fill()
        let begun = ContinuousClock.now
        let report = await pair.fin.close(.confirmed(within: .milliseconds(300)))
        let seconds = (ContinuousClock.now - begun).inSeconds
        trial.note("send took", .bytes(taken), from: "send")
        trial.expect(
          "close took", .seconds(seconds), from: "the clock", "0.3 s and little more", seconds >= 0.3 && seconds < 2)
        trial.expect(report, ending: .timedOut(.confirming))
        trial.expect("state", .text(ends.finState), from: "/proc/net/tcp", equals: .text("gone"))
        let arrived = RawSyscalls.receiveAll(plain).count
        trial.note("the peer could read", .bytes(arrived), from: "recv")
        trial.expect(
          "not acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", equals: .bytes(taken - arrived))
        RawSyscalls.close(plain)
        trial.outcome = "closed after \(seconds.time); \(report.bytesUnacknowledged.grouped) bytes not acknowledged"
      }
    })
}
