import CFin
import Fin
internal import FinBase
import Glibc

/// Experiments about delivery: whether the bytes arrive, and whether closing reports it.
enum Delivery {
  static let flush = Experiment(
    id: "flush", articles: [.a, .c],
    claim: "shutdown(RDWR) and then close flush everything.",
    truth: """
      Neither waits for anything. If the peer is still sending when the socket is closed, the kernel resets the \
      connection and drops what was not sent yet; no call of the closing program returns an error.
      """,
    naive: { notebook in
      try lose(notebook, "send(reply); shutdown(SHUT_RDWR); close()") { server in
        [("shutdown", RawSyscalls.shutdown(server, .both)), ("close", RawSyscalls.close(server))]
      }
      try lose(notebook, "send(reply); close()") { server in [("close", RawSyscalls.close(server))] }
      try lose(notebook, "settimeout(5); send(reply); shutdown(SHUT_RDWR); close()") { server in
        RawSyscalls.setTimeout(server, SO_SNDTIMEO, .seconds(5))
        RawSyscalls.setTimeout(server, SO_RCVTIMEO, .seconds(5))
        return [("shutdown", RawSyscalls.shutdown(server, .both)), ("close", RawSyscalls.close(server))]
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.send(reply); connection.close(.lingering)") { trial in
        let listener = AnySocket(try Listener.bind(.loopback(port: 0)), world)
        let client = try UploadingClient(to: listener.localAddress?.port ?? 0)
        let connection = try await listener.accept(within: .seconds(5))
        listener.close()
        let number = try FinPair.number(of: connection)
        let request = try await connection.receive(upTo: 1024)?.count ?? 0
        try await connection.send([UInt8](repeating: 0x72, count: replySize))
        trial.note("not acknowledged when closing", .bytes(Kernel.unacknowledged(number)), from: "SIOCOUTQ")
        trial.note("of the upload, unread when closing", .bytes(Kernel.unread(number)), from: "SIOCINQ")
        let report = await connection.close(.lingering)
        let (count, end) = try client.reply()
        let upload = try client.uploaded()
        trial.expect("the client received", .bytes(count), from: "recv", equals: .bytes(replySize))
        trial.expect("and then", .text(end.received), from: "recv", equals: .text("end of file"))
        trial.expect("the client uploaded", .bytes(upload.count), from: "send", equals: .bytes(uploadSize))
        trial.expect(report, ending: .peerFinished)
        trial.expect("not acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", equals: .bytes(0))
        trial.expect(
          "discarded of the upload", .bytes(report.bytesDiscarded), from: "CloseReport",
          equals: .bytes(uploadSize - request))
        trial.note(report)
        trial.outcome = "\(count.grouped) of \(replySize.grouped) arrived, then \(end.received); \(report.ending)"
      }
    })

  static let replySize = 4_000_045
  static let uploadSize = 6_000_000

  /// A client that uploads and reads the reply at the same time, at a limited rate, as over a network.
  struct UploadingClient {
    private let upload: WorkerThread<(Int, Answer)>
    private let download: WorkerThread<(Int, Answer)>

    init(to port: UInt16) throws {
      let socket = RawSyscalls.socket()
      let connected = RawSyscalls.connect(socket, port: port)
      guard connected.succeeded else { throw SetupError("connect: \(connected)") }
      upload = WorkerThread {
        let (sent, last) = RawSyscalls.sendAll(socket, [UInt8](repeating: 0x75, count: Delivery.uploadSize))
        if last.succeeded { _ = RawSyscalls.shutdown(socket, .sending) }
        return (sent, last)
      }
      download = WorkerThread {
        var count = 0
        while true {
          let answer = RawSyscalls.recv(socket)
          if !answer.succeeded || answer.value == 0 { return (count, answer) }
          count += answer.value
          pause(.milliseconds(1))
        }
      }
    }

    /// - Returns: The number of bytes of the reply that arrived, and the result of the last `recv`.
    func reply() throws -> (count: Int, end: Answer) { try download.answer(orMishap: "the client's reply") }
    func uploaded() throws -> (count: Int, last: Answer) { try upload.answer(orMishap: "the client's upload") }
  }

  /// Runs a trial in which a server answers before it has read the whole upload, and closes.
  private static func lose(
    _ notebook: Notebook, _ recipe: String, closing: (Int32) -> [(String, Answer)]
  ) throws {
    try notebook.trial(recipe) { trial in
      let listener = try Pair.listener()
      let client = try UploadingClient(to: RawSyscalls.port(of: listener))
      let server = Int32(RawSyscalls.accept(listener).value)
      RawSyscalls.close(listener)
      _ = RawSyscalls.recv(server, upTo: 1024)
      let (sent, last) = RawSyscalls.sendAll(server, [UInt8](repeating: 0x72, count: replySize))
      trial.expect(
        "send took", .bytes(sent), from: "send", "all, without an error", sent == replySize && last.succeeded)
      trial.note("not acknowledged when closing", .bytes(Kernel.unacknowledged(server)), from: "SIOCOUTQ")
      trial.note("of the upload, unread when closing", .bytes(Kernel.unread(server)), from: "SIOCINQ")
      for (call, answer) in closing(server) {
        trial.expect("\(call) said", .text(answer.description), from: call, equals: .text("0"))
      }
      let (count, end) = try client.reply()
      trial.expect(
        "the client received", .bytes(count), from: "recv", "fewer than \(replySize.grouped)", count < replySize)
      trial.note("and then", .text(end.received), from: "recv")
      trial.note("the client's upload ended with", .text(try client.uploaded().last.description), from: "send")
      trial.outcome = "\(count.grouped) of \(replySize.grouped) arrived, then \(end.received); close said nothing"
    }
  }

  static let confirmed = Experiment(
    id: "confirmed", articles: [.a],
    claim: "Make sure that all is sent and acknowledged before closing.",
    truth: """
      No call of the socket interface reports this. After shutdown(SHUT_WR), SIOCOUTQ counts what is not acknowledged \
      (and one for the FIN), and the change to FIN-WAIT-2 wakes an edge-triggered poller once.
      """,
    naive: { notebook in
      try notebook.trial("send(); shutdown(SHUT_RDWR); close(), the peer never reads") { trial in
        let pair = try Pair()
        let taken = RawSyscalls.fill(pair.client)
        trial.note("send took", .bytes(taken), from: "send")
        let waiting = Kernel.unacknowledged(pair.client)
        trial.expect("not acknowledged", .bytes(waiting), from: "SIOCOUTQ", "some", waiting > 0)
        let shut = RawSyscalls.shutdown(pair.client, .both)
        let closed = RawSyscalls.close(pair.client)
        trial.expect("shutdown said", .text(shut.description), from: "shutdown", equals: .text("0"))
        trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
        RawSyscalls.close(pair.server)
        trial.outcome = "close said \(closed) with \(waiting.grouped) bytes not acknowledged"
      }
      try notebook.trial("shutdown(SHUT_WR); SIOCOUTQ; an edge from epoll, the peer's kernel acknowledges") { trial in
        let pair = try Pair()
        let poller = try EdgePoller(of: pair.client)
        _ = poller.events(within: .milliseconds(100))
        _ = RawSyscalls.send(pair.client, "the last words")
        _ = RawSyscalls.shutdown(pair.client, .sending)
        var states: [String] = []
        while states.last != "FIN-WAIT-2" && poller.events(within: .milliseconds(500)) > 0 {
          states.append(Kernel.state(of: pair.client))
        }
        let state = states.last ?? "no event"
        let waiting = Kernel.unacknowledged(pair.client)
        trial.expect("state at the last event", .text(state), from: "TCP_INFO", equals: .text("FIN-WAIT-2"))
        let edges = states.count { $0 == "FIN-WAIT-2" }
        trial.expect("events in that state", .count(edges), from: "epoll_wait", equals: .count(1))
        trial.expect("not acknowledged", .bytes(waiting), from: "SIOCOUTQ", equals: .bytes(0))
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = "SIOCOUTQ \(waiting) in \(state): everything is acknowledged"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("connection.close(.confirmed(within: 0.3 s)), the peer never reads", isHeadline: true) {
        trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let taken = await pair.fin.fill()
        let waiting = Kernel.unacknowledged(ends.number)
        let report = await pair.fin.close(.confirmed(within: .milliseconds(300)))
        trial.note("send took", .bytes(taken), from: "send")
        trial.note("not acknowledged before", .bytes(waiting), from: "SIOCOUTQ")
        trial.expect(report, ending: .timedOut(.confirming))
        let arrived = RawSyscalls.receiveAll(plain).count
        trial.note("in the peer's kernel", .bytes(arrived), from: "recv")
        trial.expect(
          "not acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", equals: .bytes(taken - arrived))
        trial.expect("delivered", .flag(report.isDelivered), from: "CloseReport", equals: .flag(false))
        trial.note(report)
        RawSyscalls.close(plain)
        trial.outcome = "\(report.ending) with \(report.bytesUnacknowledged.grouped) bytes not acknowledged"
      }
      try await notebook.trial("connection.close(.confirmed), the peer's kernel acknowledges") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        try await pair.fin.send("the last words")
        let report = await pair.fin.close(.confirmed)
        trial.expect(report, ending: .acknowledged)
        trial.expect("not acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", equals: .bytes(0))
        let state = ends.finState
        trial.expect("state", .text(state), from: "/proc/net/tcp", equals: .text("FIN-WAIT-2"))
        trial.expect("at the peer, unread", .bytes(Kernel.unread(plain)), from: "SIOCINQ", equals: .bytes(14))
        trial.note(report)
        RawSyscalls.close(plain)
        trial.outcome = "\(report.ending) in \(state)"
      }
    })

  static let closeError = Experiment(
    id: "close-error", articles: [.a, .b],
    claim: "close may raise an error of the connection: catch it.",
    truth: "close(2) never returns errors of the network. They wait in the socket, and are lost with it.",
    naive: { notebook in
      for asks in [false, true] {
        let recipe = asks ? "getsockopt(SO_ERROR) before close()" : "try close() and catch"
        try notebook.trial(recipe, isHeadline: !asks) { trial in
          let pair = try Pair()
          let taken = RawSyscalls.fill(pair.client)
          trial.note("send took", .bytes(taken), from: "send")
          // The peer's program ends with all of it unread.
          RawSyscalls.close(pair.server)
          let events = RawSyscalls.poll(pair.client, 0, within: .seconds(1))
          trial.expect(
            "an error waits in the socket", .flag(events & POLLERR != 0), from: "poll", equals: .flag(true))
          let error = asks ? RawSyscalls.pendingError(pair.client) : "not asked for"
          if asks { trial.expect("it is", .text(error), from: "SO_ERROR", equals: .text("ECONNRESET")) }
          let lost = Kernel.unacknowledged(pair.client)
          trial.note("never acknowledged", .bytes(lost), from: "SIOCOUTQ")
          let closed = RawSyscalls.close(pair.client)
          trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
          trial.outcome = "close said \(closed) (SO_ERROR: \(error)); \(lost.grouped) bytes never acknowledged"
        }
      }
    },
    fin: { notebook, world in
      try await notebook.trial("report = connection.close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let taken = await pair.fin.fill()
        trial.note("send took", .bytes(taken), from: "send")
        RawSyscalls.close(plain)
        let events = RawSyscalls.poll(ends.number, 0, within: .seconds(1))
        trial.expect("an error waits in the socket", .flag(events & POLLERR != 0), from: "poll", equals: .flag(true))
        let lost = Kernel.unacknowledged(ends.number)
        let report = await pair.fin.close()
        trial.expect(report, ending: .reset)
        trial.expect(
          "never acknowledged", .bytes(report.bytesUnacknowledged), from: "CloseReport", equals: .bytes(lost))
        trial.expect("its descriptor is open", .flag(Kernel.isOpen(ends.number)), from: "fcntl", equals: .flag(false))
        trial.outcome =
          "close reports: \(report.ending), \(report.bytesUnacknowledged.grouped) bytes never acknowledged"
      }
    })
}

/// An edge-triggered epoll instance for one descriptor: input, output, and the peer's end of file.
struct EdgePoller: ~Copyable {
  private let poller = fin_epoll_create()

  init(of descriptor: Int32) throws {
    guard fin_epoll_watch(poller, descriptor) == 0 else { throw SetupError("epoll_ctl: \(Answer(-1))") }
  }

  deinit { RawSyscalls.close(poller) }

  /// Returns the number of events; 0 after a timeout.
  func events(within limit: Duration) -> Int {
    RawSyscalls.poll(poller, POLLIN, within: limit) == 0 ? 0 : max(0, Int(fin_epoll_take(poller)))
  }
}
