import CFin
import Fin
internal import FinBase
import Glibc

/// Experiments about what ends a wait, and what does not.
enum Waiting {
  static let idle = Experiment(
    id: "idle", articles: [.b],
    claim: "The system closes connections that are idle for too long.",
    truth: "Never. No timer runs in ESTABLISHED or in CLOSE-WAIT, and keepalive is off by default.",
    naive: { notebook in
      try notebook.trial("connect(); wait") { trial in
        let pair = try Pair()
        let alive = RawSyscalls.option(pair.client, SOL_SOCKET, SO_KEEPALIVE)
        trial.expect("keepalive", .count(alive), from: "SO_KEEPALIVE", equals: .count(0))
        // The handshake's own timers are over by then.
        _ = wait(atMost: .seconds(5)) { pair.clientRow?.timer == "none" && pair.serverRow?.timer == "none" }
        let idle = pair.clientRow
        trial.expect("state", .text(idle?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("ESTABLISHED"))
        trial.expect("its timer", .text(idle?.timer ?? "gone"), from: "/proc/net/tcp", equals: .text("none"))
        _ = RawSyscalls.shutdown(pair.client, .sending)
        _ = wait(atMost: .seconds(5)) { pair.serverRow?.state == "CLOSE-WAIT" && pair.serverRow?.timer == "none" }
        let half = pair.serverRow
        trial.expect(
          "the peer finished", .text(half?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("CLOSE-WAIT"))
        trial.expect("its timer", .text(half?.timer ?? "gone"), from: "/proc/net/tcp", equals: .text("none"))
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome =
          "\(idle?.state ?? "gone"): timer \(idle?.timer ?? "gone"); \(half?.state ?? "gone"): timer "
          + (half?.timer ?? "gone")
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.receive(upTo: 1, within: 0.2 s)") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (result, seconds) = await timed { () async -> String in
          await Outcome(try await pair.fin.receive(upTo: 1, within: .milliseconds(200))).told
        }
        trial.expect("a silent peer", .text(result), from: "receive", equals: .text(".timedOut"))
        trial.expect(
          "after", .seconds(seconds), from: "the clock", "0.2 s and little more", seconds >= 0.2 && seconds < 1)
        let limit = pair.fin.timeouts.receive.duration?.inSeconds ?? 0
        trial.expect("by default, after", .seconds(limit), from: "timeouts", "some limit", limit > 0)
        let (plain, number) = (pair.plain, pair.ends.number)
        let alive = RawSyscalls.option(number, SOL_SOCKET, SO_KEEPALIVE)
        trial.expect("keepalive", .count(alive), from: "SO_KEEPALIVE", equals: .count(1))
        let idle = RawSyscalls.option(number, Int32(IPPROTO_TCP), TCP_KEEPIDLE)
        trial.expect(
          "its first probe comes after", .seconds(Double(idle)), from: "TCP_KEEPIDLE", "minutes, not hours", idle <= 600
        )
        _ = wait(atMost: .seconds(5)) { pair.ends.finRow?.timer == "keepalive" }
        let timer = pair.ends.finRow?.timer ?? "gone"
        trial.expect("the kernel's timer", .text(timer), from: "/proc/net/tcp", equals: .text("keepalive"))
        await pair.fin.close()
        RawSyscalls.close(plain)
        trial.outcome = "\(result) after \(seconds.time); kernel timer: \(timer)"
      }
    })

  static let acceptTimeout = Experiment(
    id: "accept-timeout", articles: [.b],
    claim: "Time-outs on accept protect the server.",
    truth: """
      They bound accept alone. The accepted socket does not inherit them (settimeout there is a poll before a \
      non-blocking accept), and one silent client blocks its thread indefinitely.
      """,
    naive: { notebook in
      try notebook.trial("listener.settimeout(0.2); accept(); recv()") { trial in
        let listener = try Pair.listener()
        // Like Python: a non-blocking listener, and a poll before the call.
        RawSyscalls.setNonblocking(listener)
        let (events, seconds) = timed { RawSyscalls.poll(listener, POLLIN, within: .milliseconds(200)) }
        trial.expect("without a client accept ends after", .seconds(seconds), from: "poll", "about 0.2 s", events == 0)
        let client = RawSyscalls.socket()
        _ = RawSyscalls.connect(client, port: RawSyscalls.port(of: listener))
        _ = RawSyscalls.poll(listener, POLLIN, within: .seconds(1))
        let server = Int32(RawSyscalls.accept(listener).value)
        trial.expect(
          "the accepted one is non-blocking", .flag(Kernel.isNonblocking(server)), from: "fcntl", equals: .flag(false))
        trial.expect(
          "its own time-out", .seconds(RawSyscalls.timeout(server, SO_RCVTIMEO)), from: "SO_RCVTIMEO",
          equals: .seconds(0))
        let reader = WorkerThread { RawSyscalls.recv(server) }
        pause(.milliseconds(600))
        let waits = reader.isRunning
        trial.expect("0.6 s later its recv waits", .flag(waits), from: "the thread", equals: .flag(true))
        RawSyscalls.close(client)
        _ = try reader.answer(orMishap: "the reader")
        RawSyscalls.close(server)
        RawSyscalls.close(listener)
        trial.outcome = "accept ended after \(seconds.time); recv \(waits ? "was still waiting" : "ended")"
      }
    },
    fin: { notebook, world in
      try notebook.trial("Timeouts(receive: 0.2 s); listener.serve(), a silent client") { trial in
        let told = Box<String>()
        let server = try FinServer(in: world, timeouts: Timeouts(receive: .milliseconds(200))) { listener in
          await listener.serve(atMost: 2) { connection in
            do throws(SocketError) { _ = try await connection.receive(upTo: 64) } catch {
              told.put(error.told)
              throw error
            }
            try await connection.send("served")
          }
        }
        let silent = RawSyscalls.socket(), speaking = RawSyscalls.socket()
        let (events, seconds) = timed {
          _ = RawSyscalls.connect(silent, port: server.port)
          _ = RawSyscalls.connect(speaking, port: server.port)
          _ = RawSyscalls.send(speaking, "?")
          return RawSyscalls.poll(silent, POLLIN, within: .seconds(3))
        }
        trial.expect(
          "the silent client was ended after", .seconds(seconds), from: "poll", "about 0.2 s",
          events != 0 && seconds < 1.5)
        trial.expect(
          "its handler's receive said", .text(told.content ?? "nothing"), from: "receive", equals: .text(".timedOut"))
        let heard = RawSyscalls.recv(silent).received
        trial.expect("the client received", .text(heard), from: "recv", equals: .text("ECONNRESET"))
        trial.expect(
          "another meanwhile got", .text(RawSyscalls.receive(speaking).text), from: "recv", equals: .text("served"))
        RawSyscalls.close(silent)
        RawSyscalls.close(speaking)
        server.handle.stop()
        let report = try server.answer()
        trial.expect("handlers that failed", .count(report.handlersFailed), from: "ServerReport", equals: .count(1))
        trial.outcome = "a silent client was ended after \(seconds.time): \(told.content ?? "nothing")"
      }
      try notebook.trial("listener.accept(within: 0.2 s)") { trial in
        let server = try FinServer(in: world) { listener in
          await timed { () async -> String in
            await Outcome(try await listener.accept(within: .milliseconds(200)).abort()).error?.told ?? "a client"
          }
        }
        let (told, seconds) = try server.answer()
        trial.expect("without a client accept said", .text(told), from: "accept", equals: .text(".timedOut"))
        trial.expect(
          "after", .seconds(seconds), from: "the clock", "0.2 s and little more", seconds >= 0.2 && seconds < 1)
        trial.outcome = "\(told) after \(seconds.time)"
      }
    })

  static let unreadWindow = Experiment(
    id: "unread-window", articles: [.c],
    claim: "A dropped socket that is never read stalls its peer with a zero window.",
    truth: "True as long as its descriptor is open. A real close with unread data resets the connection at once.",
    naive: { notebook in
      try notebook.trial("forget the socket, and then close() it") { trial in
        let pair = try Pair()
        let taken = RawSyscalls.fill(pair.client)
        _ = wait(atMost: .seconds(5)) { pair.clientRow?.timer == "zero window probe" }
        let row = pair.clientRow
        trial.note("the sender's send took", .bytes(taken), from: "send")
        let unread = Kernel.unread(pair.server)
        trial.expect("unread at the forgotten socket", .bytes(unread), from: "SIOCINQ", "some", unread > 0)
        let stuck = row?.unsent ?? 0
        trial.expect("stuck at the sender", .bytes(stuck), from: "/proc/net/tcp", "some", stuck > 0)
        trial.expect("its state", .text(row?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("ESTABLISHED"))
        trial.expect(
          "its timer", .text(row?.timer ?? "gone"), from: "/proc/net/tcp", equals: .text("zero window probe"))
        RawSyscalls.close(pair.server)
        let (events, seconds) = timed { RawSyscalls.poll(pair.client, 0, within: .seconds(1)) }
        trial.expect(
          "after the close, the sender got", .text(RawSyscalls.pendingError(pair.client)), from: "SO_ERROR",
          equals: .text("ECONNRESET"))
        trial.note("after", .seconds(seconds), from: "poll")
        RawSyscalls.close(pair.client)
        trial.outcome =
          "stalled with \(stuck.grouped) bytes; a real close \(events == 0 ? "said nothing" : "reset it at once")"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.close(.lingering) with a full receive queue") { trial in
        let pair = try await FinPair.accepting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let taken = RawSyscalls.fill(plain)
        _ = RawSyscalls.shutdown(plain, .sending)
        _ = wait(atMost: .seconds(5)) { ends.plainRow?.timer == "zero window probe" }
        let unread = Kernel.unread(ends.number)
        trial.expect("unread at Fin's end", .bytes(unread), from: "SIOCINQ", "some", unread > 0)
        trial.expect(
          "the sender's timer", .text(ends.plainRow?.timer ?? "gone"), from: "/proc/net/tcp",
          equals: .text("zero window probe"))
        let report = await pair.fin.close(.lingering)
        trial.expect(report, ending: .peerFinished)
        trial.expect("discarded", .bytes(report.bytesDiscarded), from: "CloseReport", equals: .bytes(taken))
        let stuck = Kernel.unacknowledged(plain)
        trial.expect("stuck at the sender", .bytes(stuck), from: "SIOCOUTQ", equals: .bytes(0))
        trial.expect("it received", .text(RawSyscalls.recv(plain).received), from: "recv", equals: .text("end of file"))
        RawSyscalls.close(plain)
        trial.outcome =
          "\(report.bytesDiscarded.grouped) bytes taken and discarded; the sender has \(stuck.grouped) left"
      }
      try await notebook.trial("connection.abort() with a full receive queue") { trial in
        let pair = try await FinPair.accepting(in: world)
        let plain = pair.plain
        _ = RawSyscalls.fill(plain)
        let report = pair.fin.abort()
        trial.expect(report, ending: .aborted)
        _ = RawSyscalls.poll(plain, 0, within: .seconds(1))
        let error = RawSyscalls.pendingError(plain)
        trial.expect("the sender received", .text(error), from: "SO_ERROR", equals: .text("ECONNRESET"))
        RawSyscalls.close(plain)
        trial.outcome = "the sender got \(error)"
      }
    })

  static let peerSendTimeout = Experiment(
    id: "peer-send-timeout", articles: [.c],
    claim: "A peer with a send time-out can still hang.",
    truth: """
      A send time-out ends the call, not the connection: what send took stays queued, and the probes of a zero \
      window go on as long as they are answered. TCP_USER_TIMEOUT is the kernel's own limit.
      """,
    naive: { notebook in
      try notebook.trial("SO_SNDTIMEO 0.3 s; sendall() to a peer that does not read") { trial in
        let pair = try Pair()
        RawSyscalls.setTimeout(pair.client, SO_SNDTIMEO, .milliseconds(300))
        let (result, seconds) = timed { RawSyscalls.sendAll(pair.client, [UInt8](repeating: 0x62, count: 16_000_000)) }
        trial.expect("send said", .text(result.last.description), from: "send", equals: .text("EAGAIN"))
        trial.note("after", .seconds(seconds), from: "the clock")
        pause(.milliseconds(300))
        let state = Kernel.state(of: pair.client)
        trial.expect("0.3 s later the state is", .text(state), from: "TCP_INFO", equals: .text("ESTABLISHED"))
        let stuck = Kernel.unacknowledged(pair.client)
        trial.expect("and still queued", .bytes(stuck), from: "SIOCOUTQ", "some", stuck > 0)
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = "send gave up; the connection is \(state) with \(stuck.grouped) bytes queued"
      }
      try notebook.trial("TCP_USER_TIMEOUT 0.5 s") { trial in
        let pair = try Pair()
        RawSyscalls.set(pair.client, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, 500)
        _ = RawSyscalls.fill(pair.client)
        let (events, seconds) = timed { RawSyscalls.poll(pair.client, 0, within: .seconds(5)) }
        trial.expect(
          "the kernel ended it after", .seconds(seconds), from: "poll", "less than 5 s", events != 0 && seconds < 5)
        let error = RawSyscalls.pendingError(pair.client)
        trial.expect("with", .text(error), from: "SO_ERROR", equals: .text("ETIMEDOUT"))
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = "\(error) after \(seconds.time)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("Timeouts(send: 0.5 s); send() to a peer that does not read") { trial in
        let pair = try await FinPair.connecting(in: world, timeouts: Timeouts(send: .milliseconds(500)))
        let (plain, number) = (pair.plain, pair.ends.number)
        let option = RawSyscalls.option(number, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT)
        trial.expect(
          "the kernel's limit", .seconds(Double(option) / 1000), from: "TCP_USER_TIMEOUT", equals: .seconds(0.5))
        let (sent, seconds) = await timed { () async -> Outcome<Void> in
          await Outcome(try await pair.fin.send([UInt8](repeating: 0x62, count: 16_000_000)))
        }
        let said = sent.error?.told ?? "sent"
        trial.expect(
          "send said", .text(said), from: "send", ".timedOut, or .lost if the kernel was first",
          [".timedOut", ".lost"].contains(said))
        trial.expect(
          "after", .seconds(seconds), from: "the clock", "0.5 s, on a busy machine up to 5 s",
          seconds >= 0.4 && seconds < 5)
        trial.note("having taken", .bytes(sent.error?.bytesAccepted ?? 0), from: "SocketError")
        let (ended, lived) = timed { wait(atMost: .seconds(5)) { Kernel.state(of: number) == "CLOSED" } }
        trial.expect(
          "the kernel ended the connection after", .seconds(lived), from: "TCP_INFO", "less than 5 s more", ended)
        let report = await pair.fin.close()
        trial.note("ending", .text("\(report.ending)"), from: "CloseReport")
        trial.expect(
          "not acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", "some",
          report.bytesUnacknowledged > 0)
        RawSyscalls.close(plain)
        trial.outcome = "\(said) after \(seconds.time), and the connection has ended: \(report.ending)"
      }
    })
}
