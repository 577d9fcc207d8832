import Fin
import Glibc

/// Experiments about the states of TCP, and the side that is in each.
enum States {
  static let timeWait = Experiment(
    id: "time-wait", articles: [.a],
    claim: "A closed socket stays in a waiting state, and then its resources are freed.",
    truth: """
      It is TIME-WAIT, 60 s on Linux, and only the side that closes first has it, after everything was acknowledged. \
      Descriptor and buffers are free long before.
      """,
    naive: { notebook in
      for clientFirst in [true, false] {
        try notebook.trial(clientFirst ? "the client closes first" : "the server closes first") { trial in
          let pair = try Pair()
          let (first, second) = clientFirst ? (pair.client, pair.server) : (pair.server, pair.client)
          RawSyscalls.close(first)
          _ = RawSyscalls.recv(second)
          RawSyscalls.close(second)
          let rows = wait(atMost: .seconds(5)) {
            let row = clientFirst ? pair.clientRow : pair.serverRow
            return row?.state == "TIME-WAIT" ? row : nil
          }
          trial.expect(
            "the first is in", .text(rows?.state ?? "nothing"), from: "/proc/net/tcp", equals: .text("TIME-WAIT"))
          let left = rows?.timerSeconds ?? 0
          trial.expect("for another", .seconds(left), from: "/proc/net/tcp", "50 to 60 s", left > 50 && left <= 60.1)
          trial.expect("its descriptor is open", .flag(Kernel.isOpen(first)), from: "fcntl", equals: .flag(false))
          trial.note("its inode", .count(Int(rows?.inode ?? 0)), from: "/proc/net/tcp")
          let other = (clientFirst ? pair.serverRow : pair.clientRow)?.state ?? "nothing"
          trial.expect("the second is in", .text(other), from: "/proc/net/tcp", equals: .text("nothing"))
          trial.outcome =
            "\(clientFirst ? "client" : "server") first: it has \(rows?.state ?? "nothing") for "
            + "\(left.time), the other \(other)"
        }
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.close() first, then the peer") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let report = await pair.fin.close()
        trial.expect(report, ending: .acknowledged)
        trial.expect("its descriptor is open", .flag(Kernel.isOpen(ends.number)), from: "fcntl", equals: .flag(false))
        RawSyscalls.close(plain)
        let row = wait(atMost: .seconds(5)) { ends.finRow?.state == "TIME-WAIT" ? ends.finRow : nil }
        trial.expect("state", .text(row?.state ?? "nothing"), from: "/proc/net/tcp", equals: .text("TIME-WAIT"))
        trial.note("for another", .seconds(row?.timerSeconds ?? 0), from: "/proc/net/tcp")
        trial.outcome =
          "the descriptor is gone after \(report.duration.inSeconds.time); what stays is \(row?.state ?? "nothing")"
      }
      try await notebook.trial("the peer first, then connection.close()") { trial in
        let pair = try await FinPair.accepting(in: world)
        let ends = pair.ends
        RawSyscalls.close(pair.plain)
        _ = try await pair.fin.receive(upTo: 1)
        let report = await pair.fin.close(.lingering)
        trial.expect(report, ending: .peerFinished)
        let row = wait(atMost: .seconds(5)) { ends.plainRow?.state == "TIME-WAIT" ? ends.plainRow : nil }
        trial.expect(
          "the peer is in", .text(row?.state ?? "nothing"), from: "/proc/net/tcp", equals: .text("TIME-WAIT"))
        trial.expect("Fin's side is", .text(ends.finState), from: "/proc/net/tcp", equals: .text("gone"))
        trial.outcome = "the peer first: \(row?.state ?? "nothing") is the peer's, Fin's side is \(ends.finState)"
      }
    })

  static let states = Experiment(
    id: "states", articles: [.b],
    claim: "A socket goes through CLOSED, LISTENING, ESTABLISHED, CLOSED.",
    truth: """
      TCP has eleven states (RFC 9293). A listener stays in LISTEN, each client is a new socket, and a connection \
      is ESTABLISHED before accept returns it.
      """,
    naive: { notebook in
      try notebook.trial("opening a connection") { trial in
        let fresh = RawSyscalls.socket()
        trial.expect("a new socket", .text(Kernel.state(of: fresh)), from: "TCP_INFO", equals: .text("CLOSED"))
        RawSyscalls.close(fresh)
        let listener = try Pair.listener()
        let port = RawSyscalls.port(of: listener)
        let client = RawSyscalls.socket()
        _ = RawSyscalls.connect(client, port: port)
        trial.expect(
          "a client before accept", .text(Kernel.state(of: client)), from: "TCP_INFO", equals: .text("ESTABLISHED"))
        let waiting = TCPTable.row(local: port, remote: RawSyscalls.port(of: client))?.state ?? "nothing"
        trial.expect("its peer, not accepted", .text(waiting), from: "/proc/net/tcp", equals: .text("ESTABLISHED"))
        let server = Int32(RawSyscalls.accept(listener).value)
        let listening = Kernel.state(of: listener)
        trial.expect("the listener after accept", .text(listening), from: "TCP_INFO", equals: .text("LISTEN"))
        trial.expect(
          "what accept gave is another socket", .flag(Kernel.inode(of: server) != Kernel.inode(of: listener)),
          from: "fstat", equals: .flag(true))
        for descriptor in [client, server, listener] { RawSyscalls.close(descriptor) }
        trial.outcome = "\(waiting) before accept, and the listener stays in \(listening)"
      }
      try notebook.trial("handshakes that do not finish") { trial in
        let full = try Pair.listener(backlog: 0)
        let first = RawSyscalls.socket(), second = RawSyscalls.socket(nonblocking: true)
        _ = RawSyscalls.connect(first, port: RawSyscalls.port(of: full))
        _ = RawSyscalls.connect(second, port: RawSyscalls.port(of: full))
        trial.expect(
          "behind a full queue", .text(Kernel.state(of: second)), from: "TCP_INFO", equals: .text("SYN-SENT"))
        let deferring = try Pair.listener()
        RawSyscalls.set(deferring, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, 5)
        let silent = RawSyscalls.socket()
        _ = RawSyscalls.connect(silent, port: RawSyscalls.port(of: deferring))
        let row =
          TCPTable.row(local: RawSyscalls.port(of: deferring), remote: RawSyscalls.port(of: silent))?.state ?? "nothing"
        trial.expect(
          "until the first byte (TCP_DEFER_ACCEPT)", .text(row), from: "/proc/net/tcp", equals: .text("SYN-RECEIVED"))
        for descriptor in [full, first, second, deferring, silent] { RawSyscalls.close(descriptor) }
        trial.outcome = trial.facts.map(\.value.description).joined(separator: ", ")
      }
      try notebook.trial("closing a connection") { trial in
        let quiet = try Pair()
        _ = RawSyscalls.shutdown(quiet.client, .sending)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: quiet.client) == "FIN-WAIT-2" }
        trial.expect(
          "we finished", .text(Kernel.state(of: quiet.client)), from: "TCP_INFO", equals: .text("FIN-WAIT-2"))
        trial.expect(
          "the peer finished", .text(Kernel.state(of: quiet.server)), from: "TCP_INFO", equals: .text("CLOSE-WAIT"))
        RawSyscalls.close(quiet.client)
        RawSyscalls.close(quiet.server)
        _ = wait(atMost: .seconds(5)) { quiet.clientRow?.state == "TIME-WAIT" }
        trial.expect(
          "both, we first", .text(quiet.clientRow?.state ?? "nothing"), from: "/proc/net/tcp",
          equals: .text("TIME-WAIT"))

        let stuck = try Pair()
        _ = RawSyscalls.fill(stuck.client)
        _ = RawSyscalls.shutdown(stuck.client, .sending)
        trial.expect(
          "a FIN behind unread data", .text(Kernel.state(of: stuck.client)), from: "TCP_INFO",
          equals: .text("FIN-WAIT-1"))
        _ = RawSyscalls.shutdown(stuck.server, .sending)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: stuck.client) == "CLOSING" }
        trial.expect("both at once", .text(Kernel.state(of: stuck.client)), from: "TCP_INFO", equals: .text("CLOSING"))

        let last = try Pair()
        _ = RawSyscalls.fill(last.client)
        _ = RawSyscalls.shutdown(last.server, .sending)
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: last.client) == "CLOSE-WAIT" }
        RawSyscalls.close(last.client)
        let row = last.clientRow?.state ?? "nothing"
        trial.expect("the peer first, data left", .text(row), from: "/proc/net/tcp", equals: .text("LAST-ACK"))
        for descriptor in [stuck.server, stuck.client, last.server] { RawSyscalls.close(descriptor) }
        trial.outcome = trial.facts.map(\.value.description).joined(separator: ", ")
      }
    },
    fin: { notebook, world in
      try await notebook.trial("listener, connection, tcpState(), phase") { trial in
        let listener = AnySocket(try Listener.bind(.loopback(port: 0)), world)
        let port = listener.localAddress?.port ?? 0
        let number = try FinPair.number(of: listener)
        trial.expect("a listener", .text(Kernel.state(of: number)), from: "TCP_INFO", equals: .text("LISTEN"))
        let plain = RawSyscalls.socket()
        _ = RawSyscalls.connect(plain, port: port)
        let connection = try await listener.accept(within: .seconds(5))
        trial.expect("and after accept", .text(Kernel.state(of: number)), from: "TCP_INFO", equals: .text("LISTEN"))
        let ours = try FinPair.number(of: connection)
        func tell(_ when: String, _ state: TCPState?, _ phase: Phase, _ wantedState: String, _ wantedPhase: Phase) {
          trial.expect("\(when): the phase", .text("\(phase)"), from: "phase", equals: .text("\(wantedPhase)"))
          trial.expect(
            "the kernel's state, by Fin", .text(state?.description ?? "nothing"), from: "tcpState()",
            equals: .text(wantedState))
          trial.expect(
            "the kernel's state", .text(Kernel.state(of: ours)), from: "TCP_INFO", equals: .text(wantedState))
        }
        tell("accepted", try connection.tcpState(), connection.phase, "ESTABLISHED", .connected)
        let receiving = connection.finishSending()
        _ = wait(atMost: .seconds(5)) { Kernel.state(of: ours) == "FIN-WAIT-2" }
        tell("we finished", try receiving.tcpState(), receiving.phase, "FIN-WAIT-2", .sendFinished)
        RawSyscalls.close(plain)
        let end = await Outcome(try await receiving.receive(upTo: 1))
        trial.expect("the peer finished: receive", .text(end.told), from: "receive", equals: .text("end of file"))
        tell("both finished", try receiving.tcpState(), receiving.phase, "CLOSED", .bothFinished)
        await receiving.close()
        listener.close()
        trial.outcome = "\(trial.agreement) of \(trial.facts.count) readings agree with the kernel"
      }
      try await notebook.trial("the peer finishes first") { trial in
        let pair = try await FinPair.accepting(in: world)
        RawSyscalls.close(pair.plain)
        let end = await Outcome(try await pair.fin.receive(upTo: 1))
        trial.expect("receive", .text(end.told), from: "receive", equals: .text("end of file"))
        trial.expect("the phase", .text("\(pair.fin.phase)"), from: "phase", equals: .text("peer finished"))
        let state = try pair.fin.tcpState()?.description ?? "nothing"
        trial.expect("the kernel's state, by Fin", .text(state), from: "tcpState()", equals: .text("CLOSE-WAIT"))
        trial.expect(
          "the kernel's state", .text(Kernel.state(of: pair.ends.number)), from: "TCP_INFO",
          equals: .text("CLOSE-WAIT"))
        await pair.fin.close()
        trial.outcome = "\(state), not CLOSED"
      }
      try notebook.trial("TCPState.allCases") { trial in
        let agreeing = TCPState.allCases.count { $0.description == Kernel.stateName($0.rawValue) }
        trial.expect("states with their names in RFC 9293", .count(agreeing), from: "TCPState", equals: .count(11))
        trial.outcome = "\(agreeing) states"
      }
    })
}
