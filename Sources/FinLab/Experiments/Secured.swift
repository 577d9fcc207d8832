#if TLS
import Fin
internal import FinBase

/// Experiments about the end of secured connections, with OpenSSL at the other end. Only a build with the package
/// trait TLS has them.
enum Secured {
  private static let answer = [UInt8]("HTTP/1.0 200 OK\r\n\r\nhalf of the answer".utf8)
  /// The laboratory's own peer, whose certificate was made a moment ago.
  private static func role() throws -> TLSRole {
    .client(for: "localhost", try TLSClient(trust: .unverified(because: "the peer is this experiment")))
  }

  /// A server that answers, and ends with or without close_notify.
  private static func answering(_ socket: Int32, saysClose: Bool) -> WorkerThread<String> {
    WorkerThread {
      do {
        let tls = try PlainTLS.serving(socket)
        guard tls.write(answer) else { return "SSL_write failed" }
        if saysClose { tls.shutdown() }
        return RawSyscalls.shutdown(socket, .sending).description
      } catch { return "\(error)" }
    }
  }

  static let truncation = Experiment(
    id: "truncation", articles: [],
    claim: "With TLS, an answer that was cut short on its way is noticed.",
    truth: """
      FIN is not sealed: anything on the path can send it. OpenSSL tells a FIN alone from close_notify, but only in \
      SSL_get_error, which most loops do not ask; with SSL_OP_IGNORE_UNEXPECTED_EOF, not at all.
      """,
    naive: { notebook in
      for ignores in [false, true] {
        let recipe = ignores ? "the same with SSL_OP_IGNORE_UNEXPECTED_EOF" : "while ((n = SSL_read(…)) > 0)"
        try notebook.trial(recipe, isHeadline: !ignores) { trial in
          var kinds: [String] = []
          var counts: [Int] = []
          for saysClose in [true, false] {
            let pair = try Pair()
            let server = answering(pair.server, saysClose: saysClose)
            let client = try PlainTLS.connecting(pair.client, ignoringTruncation: ignores)
            let (count, last, kind) = client.readAll()
            let end = saysClose ? "after close_notify" : "after FIN alone"
            trial.expect("\(end), arrived", .bytes(count), from: "SSL_read", equals: .bytes(answer.count))
            trial.expect(
              "\(end), the loop ended by", .count(last), from: "SSL_read", "0 or less", last <= 0)
            trial.note("\(end), it was", .text(kind), from: "SSL_get_error")
            trial.expect(
              "the server's end", .text(try server.answer(orMishap: "the server")), from: "shutdown", equals: .text("0")
            )
            RawSyscalls.close(pair.client)
            RawSyscalls.close(pair.server)
            kinds.append(kind)
            counts.append(count)
          }
          trial.expect(
            "SSL_get_error tells them apart", .flag(kinds[0] != kinds[1]), from: "SSL_get_error",
            equals: .flag(!ignores))
          trial.outcome =
            "\(counts[1].grouped) bytes, and the loop ends as after a whole answer"
            + (ignores ? "; both are \(kinds[1])" : ": only \(kinds[1]) would tell")
        }
      }
    },
    fin: { notebook, world in
      for saysClose in [false, true] {
        let recipe = saysClose ? "the same, the server says close_notify" : "receive() until the end, FIN alone"
        try await notebook.trial(recipe, isHeadline: !saysClose) { trial in
          let pair = try await FinPair.connecting(in: world)
          let plain = pair.plain
          let server = answering(plain, saysClose: saysClose)
          let connection = try await pair.fin.secured(as: role())
          var count = 0
          var ends: [String] = []
          while ends.count < 2 {
            let outcome = await Outcome(try await connection.receive(upTo: 100))
            if case .value(let bytes?) = outcome { count += bytes.count } else { ends.append(outcome.told) }
          }
          let told = saysClose ? "end of file" : ".truncated"
          trial.expect("arrived", .bytes(count), from: "receive", equals: .bytes(answer.count))
          trial.expect("then receive said", .text(ends[0]), from: "receive", equals: .text(told))
          trial.expect("and again", .text(ends[1]), from: "receive", equals: .text(told))
          trial.expect(
            "the server's end", .text(try server.answer(orMishap: "the server")), from: "shutdown", equals: .text("0"))
          let report = await connection.close(.confirmed(within: .seconds(5)))
          trial.expect(report, ending: saysClose ? .peerFinished : .truncated)
          trial.expect(
            "close_notify received", .flag(report.closeNotify?.received == true), from: "CloseReport",
            equals: .flag(saysClose))
          trial.note(report)
          RawSyscalls.close(plain)
          trial.outcome = "\(count.grouped) bytes, then \(ends[0]), every time; the report: \(report.ending)"
        }
      }
    })

  private static let size = 1 << 20
  private static let rounds = 10

  /// A server that is busy for a moment, and then reads until the end.
  private static func readingLate(_ socket: Int32, tickets: Int) -> WorkerThread<Int> {
    WorkerThread {
      guard let tls = try? PlainTLS.serving(socket, tickets: tickets) else { return -1 }
      pause(.milliseconds(50))
      let count = tls.readAll().count
      tls.shutdown()
      RawSyscalls.close(socket)
      return count
    }
  }

  static let tickets = Experiment(
    id: "tickets", articles: [],
    claim: "A client that has sent everything says close_notify, and closes.",
    truth: """
      With TLS 1.3 the server has sent session tickets, which a client that only sends never reads. Unread bytes turn \
      close(2) into a reset, and the reset drops what the server has not read yet.
      """,
    naive: { notebook in
      for tickets in [2, 0] {
        let recipe = "SSL_write(1 MiB); SSL_shutdown(); close(), \(tickets) tickets"
        try notebook.trial(recipe, isHeadline: tickets > 0) { trial in
          var counts: [Int] = []
          for _ in 0..<rounds {
            let pair = try Pair()
            let server = readingLate(pair.server, tickets: tickets)
            let client = try PlainTLS.connecting(pair.client)
            let isTaken = client.write([UInt8](repeating: 0x75, count: size))
            client.shutdown()
            let closed = RawSyscalls.close(pair.client)
            if !isTaken || !closed.succeeded { throw SetupError("SSL_write or close said that it failed") }
            counts.append(try server.answer(orMishap: "the server"))
          }
          let whole = counts.count { $0 == size }
          trial.expect(
            "whole, of \(rounds)", .count(whole), from: "SSL_read", tickets > 0 ? "fewer than \(rounds)" : "\(rounds)",
            tickets > 0 ? whole < rounds : whole == rounds)
          trial.note("least received", .bytes(counts.min() ?? 0), from: "SSL_read")
          let least = counts.min() ?? 0
          trial.outcome = "\(whole) of \(rounds) arrived whole, the least \(least.grouped) of \(size.grouped)"
        }
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.send(1 MiB); connection.close(), 2 tickets", isHeadline: true) { trial in
        var whole = 0
        var endings: Set<String> = []
        for _ in 0..<rounds {
          let pair = try await FinPair.connecting(in: world)
          let server = readingLate(pair.plain, tickets: 2)
          let connection = try await pair.fin.secured(as: role())
          try await connection.send([UInt8](repeating: 0x75, count: size))
          endings.insert("\(await connection.close().ending)")
          if try server.answer(orMishap: "the server") == size { whole += 1 }
        }
        trial.expect("whole, of \(rounds)", .count(whole), from: "SSL_read", equals: .count(rounds))
        trial.expect(
          "endings", .text(endings.sorted().joined(separator: ", ")), from: "CloseReport",
          equals: .text("\(Ending.peerFinished)"))
        trial.outcome = "\(whole) of \(rounds) arrived whole; the reports: \(endings.sorted().joined(separator: ", "))"
      }
    })
}
#endif
