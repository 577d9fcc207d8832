import Fin
import Glibc

/// Experiments about descriptor numbers, and about descriptors that share a socket.
enum Handles {
  static let references = Experiment(
    id: "references", articles: [.a, .c],
    claim: "Drop every reference, or the socket lives on.",
    truth: """
      close releases the descriptor, however many references there are. Only a descriptor of its own (dup, or a \
      file made from the socket) keeps the connection, and then close sends nothing at all.
      """,
    naive: { notebook in
      try notebook.trial("three variables, one close()") { trial in
        let pair = try Pair()
        let references = [pair.client, pair.client, pair.client]
        RawSyscalls.close(references[0])
        let heard = RawSyscalls.poll(pair.server, POLLIN | POLLRDHUP_, within: .seconds(1))
        trial.expect("the peer sees the end of file", .flag(heard & POLLRDHUP_ != 0), from: "poll", equals: .flag(true))
        trial.expect("the descriptor is open", .flag(Kernel.isOpen(references[2])), from: "fcntl", equals: .flag(false))
        RawSyscalls.close(pair.server)
        trial.outcome = "one close ended it, with \(references.count) references alive"
      }
      try notebook.trial("file = fdopen(dup(socket)); close(socket)", isHeadline: true) { trial in
        let pair = try Pair()
        let file = unsafe fdopen(RawSyscalls.dup(pair.client), "r")
        let closed = RawSyscalls.close(pair.client)
        let heard = RawSyscalls.poll(pair.server, POLLIN | POLLRDHUP_, within: .milliseconds(200))
        trial.expect("close said", .text(closed.description), from: "close", equals: .text("0"))
        trial.expect("the peer sees the end of file", .flag(heard != 0), from: "poll", equals: .flag(false))
        let state = pair.clientRow?.state ?? "nothing"
        trial.expect("state after the close", .text(state), from: "/proc/net/tcp", equals: .text("ESTABLISHED"))
        unsafe fclose(file!)
        let then = RawSyscalls.poll(pair.server, POLLIN | POLLRDHUP_, within: .seconds(1))
        trial.expect("and after fclose", .flag(then & POLLRDHUP_ != 0), from: "poll", equals: .flag(true))
        RawSyscalls.close(pair.server)
        trial.outcome = "\(state) after close, until the file was closed"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("three references, one close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let shared = pair.fin.share()
        let references = [shared, shared, shared]
        let report = await references[0].close()
        let heard = RawSyscalls.poll(plain, POLLIN | POLLRDHUP_, within: .seconds(1))
        trial.expect(report, ending: .acknowledged)
        trial.expect("the peer sees the end of file", .flag(heard & POLLRDHUP_ != 0), from: "poll", equals: .flag(true))
        trial.expect("the descriptor is open", .flag(Kernel.isOpen(ends.number)), from: "fcntl", equals: .flag(false))
        let said = await Outcome(try await references[2].receive(upTo: 1)).told
        trial.expect("another reference's receive", .text(said), from: "receive", equals: .text(".closed"))
        RawSyscalls.close(plain)
        trial.outcome = "one close ended it; the other references say \(said)"
      }
    })

  /// `POLLRDHUP`, which Glibc defines only with `_GNU_SOURCE`.
  private static let POLLRDHUP_: Int32 = 0x2000

  static let useAfterClose = Experiment(
    id: "use-after-close", articles: [.a, .c],
    claim: "After close, every call on the socket fails.",
    truth: "EBADF, as long as the number is free. Numbers are reused at once, and then it is a stranger's.",
    naive: { notebook in
      try notebook.trial("close(fd); send(fd)") { trial in
        let pair = try Pair()
        RawSyscalls.close(pair.client)
        let sent = RawSyscalls.send(pair.client, "late")
        trial.expect("send said", .text(sent.description), from: "send", equals: .text("EBADF"))
        RawSyscalls.close(pair.server)
        trial.outcome = "\(sent)"
      }
      try notebook.trial("close(fd); another connection is opened; send(fd)", isHeadline: true) { trial in
        let pair = try Pair()
        RawSyscalls.close(pair.client)
        let stranger = try Pair(reusing: pair.client)
        trial.expect(
          "the stranger's number is ours", .flag(stranger.client == pair.client), from: "socket", equals: .flag(true))
        let sent = RawSyscalls.send(pair.client, "late")
        trial.expect("send said", .text(sent.description), from: "send", equals: .text("4"))
        let (_, text) = RawSyscalls.receive(stranger.server)
        trial.expect("the stranger's peer received", .text(text), from: "recv", equals: .text("late"))
        for descriptor in [stranger.client, stranger.server, pair.server] { RawSyscalls.close(descriptor) }
        trial.outcome = "a stranger's peer read \"\(text)\""
      }
    },
    fin: { notebook, world in
      try await notebook.trial("shared.close(); another connection is opened; shared.send(), shared.receive()") {
        trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let shared = pair.fin.share()
        await shared.close()
        let stranger = try Pair(reusing: ends.number)
        trial.expect(
          "the stranger's number was ours", .flag(stranger.client == ends.number), from: "socket", equals: .flag(true))
        let sent = await Outcome(try await shared.send("late")).error?.told ?? "sent"
        trial.expect("send said", .text(sent), from: "send", equals: .text(".closed"))
        let received = await Outcome(try await shared.receive(upTo: 1)).told
        trial.expect("receive said", .text(received), from: "receive", equals: .text(".closed"))
        let heard = RawSyscalls.poll(stranger.server, POLLIN, within: .milliseconds(100))
        trial.expect("the stranger's peer received something", .flag(heard != 0), from: "poll", equals: .flag(false))
        for descriptor in [stranger.client, stranger.server, plain] { RawSyscalls.close(descriptor) }
        trial.outcome = "send says \(sent); the stranger's peer received \(heard == 0 ? "nothing" : "something")"
      }
    })

  static let closeTwice = Experiment(
    id: "close-twice", articles: [.a, .b],
    claim: "Closing twice raises an error: check first.",
    truth: """
      Python makes the second close a no-op. In C it is EBADF or, if the number was reused, the end of a \
      stranger's connection. Checking first does not help: the number is open.
      """,
    naive: { notebook in
      try notebook.trial("close(fd); close(fd)") { trial in
        let pair = try Pair()
        let first = RawSyscalls.close(pair.client), second = RawSyscalls.close(pair.client)
        trial.expect("the first said", .text(first.description), from: "close", equals: .text("0"))
        trial.expect("the second said", .text(second.description), from: "close", equals: .text("EBADF"))
        RawSyscalls.close(pair.server)
        trial.outcome = "the second says \(second)"
      }
      try notebook.trial("close(fd); another connection is opened; if open(fd) close(fd)", isHeadline: true) { trial in
        let pair = try Pair()
        RawSyscalls.close(pair.client)
        let stranger = try Pair(reusing: pair.client)
        trial.expect("the number is open", .flag(Kernel.isOpen(pair.client)), from: "fcntl", equals: .flag(true))
        let second = RawSyscalls.close(pair.client)
        trial.expect("the second said", .text(second.description), from: "close", equals: .text("0"))
        let sent = RawSyscalls.send(stranger.client, "mine")
        trial.expect("the stranger's send said", .text(sent.description), from: "send", equals: .text("EBADF"))
        RawSyscalls.close(stranger.server)
        RawSyscalls.close(pair.server)
        trial.outcome = "the second close ended a stranger: its send said \(sent)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("shared.close(); another connection is opened; shared.close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let shared = pair.fin.share()
        let first = await shared.close()
        let stranger = try Pair(reusing: ends.number)
        let second = await shared.close()
        trial.expect(first, ending: .acknowledged)
        trial.expect("the second report is the same", .flag(first == second), from: "CloseReport", equals: .flag(true))
        trial.expect("the stranger is open", .flag(Kernel.isOpen(stranger.client)), from: "fcntl", equals: .flag(true))
        let sent = RawSyscalls.send(stranger.client, "mine")
        trial.expect("the stranger's send said", .text(sent.description), from: "send", equals: .text("4"))
        for descriptor in [stranger.client, stranger.server, plain] { RawSyscalls.close(descriptor) }
        trial.outcome =
          "the second gives \(first == second ? "the same report" : "another report"); the stranger's send said \(sent)"
      }
    })

  static let descriptorReuse = Experiment(
    id: "descriptor-reuse", articles: [.b],
    claim: "Threads must not use a socket that is being closed.",
    truth:
      "True, and no thread can know: the number is reused at once, and the late call reaches another connection.",
    naive: { notebook in
      try notebook.trial("a thread between its check and its recv; close; the next accept") { trial in
        let listener = try Pair.listener()
        let first = try Pair(through: listener, keepingListener: true)
        let go = try Pair()
        let checked = Box<Bool>()
        let number = first.server
        let thread = WorkerThread {
          checked.put(Kernel.isOpen(number))
          _ = RawSyscalls.recv(go.server)
          return RawSyscalls.receive(number).text
        }
        _ = wait(atMost: .seconds(5)) { checked.content }
        RawSyscalls.close(first.server)
        let second = try Pair(through: listener, reusing: number)
        _ = RawSyscalls.send(second.client, "a stranger's secret")
        _ = RawSyscalls.send(go.client, "go")
        let stolen = try thread.answer(orMishap: "the late thread")
        trial.expect(
          "the socket was open when checked", .flag(checked.content ?? false), from: "fcntl", equals: .flag(true))
        trial.expect(
          "the next connection got the number", .flag(second.server == number), from: "accept", equals: .flag(true))
        trial.expect("the late thread read", .text(stolen), from: "recv", equals: .text("a stranger's secret"))
        let left = Kernel.unread(second.server)
        trial.expect("left for the stranger", .bytes(left), from: "SIOCINQ", equals: .bytes(0))
        for descriptor in [listener, first.client, second.client, second.server, go.client, go.server] {
          RawSyscalls.close(descriptor)
        }
        trial.outcome = "the late thread read \"\(stolen)\""
      }
    },
    fin: { notebook, world in
      let recipe = "a \(world.worker) between its check and its receive; shared.close(); the next accept"
      try await notebook.trial(recipe) { trial in
        let listener = try Pair.listener()
        let pair = try await FinPair.accepting(in: world)
        let (plain, ends) = (pair.plain, pair.ends)
        let shared = pair.fin.share()
        let signal = try await FinPair.connecting(in: world)
        let starter = signal.plain
        let go = signal.fin.share()
        let checked = Box<Bool>()
        let late = try world.start { () async -> String in
          checked.put(shared.phase == .connected)
          _ = try? await go.receive(upTo: 2)
          return await Outcome(try await shared.receive(upTo: 64)).told
        }
        _ = wait(atMost: .seconds(5)) { checked.content }
        await shared.close(.abort)
        let second = try Pair(through: listener, reusing: ends.number)
        _ = RawSyscalls.send(second.client, "a stranger's secret")
        _ = RawSyscalls.send(starter, "go")
        let told = try late.answer(orMishap: "the late \(world.worker)")
        await go.abort()
        trial.expect(
          "the connection was open when checked", .flag(checked.content ?? false), from: "phase", equals: .flag(true))
        trial.expect(
          "the next connection got the number", .flag(second.server == ends.number), from: "accept", equals: .flag(true)
        )
        trial.expect("the late \(world.worker)'s receive said", .text(told), from: "receive", equals: .text(".closed"))
        let left =
          wait(atMost: .seconds(5)) { Kernel.unread(second.server) == 19 ? 19 : nil } ?? Kernel.unread(second.server)
        trial.expect("left for the stranger", .bytes(left), from: "SIOCINQ", equals: .bytes(19))
        for descriptor in [listener, plain, second.client, second.server, starter] {
          RawSyscalls.close(descriptor)
        }
        trial.outcome = "the late \(world.worker) got \(told)"
      }
    })

  static let dupFile = Experiment(
    id: "dup-file", articles: [.c],
    claim: "dup and makefile share the socket by count.",
    truth: "True: shutdown acts on the connection and so on all of them, close on one descriptor.",
    naive: { notebook in
      try notebook.trial("copy = dup(fd); close(copy)") { trial in
        let pair = try Pair()
        let copy = RawSyscalls.dup(pair.client)
        trial.expect(
          "two numbers for one socket", .text(Kernel.link(of: copy)), from: "/proc/self/fd",
          equals: .text(Kernel.link(of: pair.client)))
        RawSyscalls.close(copy)
        let sent = RawSyscalls.send(pair.client, "hello")
        trial.expect("send on the other said", .text(sent.description), from: "send", equals: .text("5"))
        let state = Kernel.state(of: pair.client)
        trial.expect("state", .text(state), from: "TCP_INFO", equals: .text("ESTABLISHED"))
        RawSyscalls.close(pair.client)
        RawSyscalls.close(pair.server)
        trial.outcome = "after close(copy), send on the other says \(sent)"
      }
      try notebook.trial("copy = dup(fd); shutdown(copy, SHUT_WR)") { trial in
        let pair = try Pair()
        let copy = RawSyscalls.dup(pair.client)
        _ = RawSyscalls.shutdown(copy, .sending)
        let sent = RawSyscalls.send(pair.client, "hello")
        trial.expect("send on the other said", .text(sent.description), from: "send", equals: .text("EPIPE"))
        for descriptor in [copy, pair.client, pair.server] { RawSyscalls.close(descriptor) }
        trial.outcome = "after shutdown(copy), send on the other says \(sent)"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("copy = connection.duplicate(); copy.close()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let plain = pair.plain
        let copy = try pair.fin.duplicate()
        let number = try FinPair.number(of: copy)
        trial.expect(
          "two numbers for one socket", .text(Kernel.link(of: number)), from: "/proc/self/fd",
          equals: .text(Kernel.link(of: pair.ends.number)))
        let report = await copy.close()
        trial.expect(report, ending: .shared)
        let sent = await Outcome(try await pair.fin.send("hello")).error?.told ?? "sent"
        trial.expect("send on the other said", .text(sent), from: "send", equals: .text("sent"))
        trial.expect("at the peer", .bytes(RawSyscalls.recv(plain).value), from: "recv", equals: .bytes(5))
        let last = await pair.fin.close()
        trial.expect(
          "the last one's ending", .text("\(last.ending)"), from: "CloseReport", equals: .text("acknowledged"))
        RawSyscalls.close(plain)
        trial.outcome = "after copy.close(), the other: \(sent)"
      }
      try await notebook.trial("copy = connection.duplicate(); copy.finishSending()") { trial in
        let pair = try await FinPair.connecting(in: world)
        let plain = pair.plain
        let copy = try pair.fin.duplicate()
        let receiving = copy.finishSending()
        let sent = await Outcome(try await pair.fin.send("hello")).error?.told ?? "sent"
        trial.expect("send on the other said", .text(sent), from: "send", equals: .text(".finished"))
        await receiving.close()
        await pair.fin.close()
        RawSyscalls.close(plain)
        trial.outcome = "after copy.finishSending(), the other: \(sent)"
      }
      try await notebook.trial("reading lines from the connection itself, and then bytes") { trial in
        let pair = try await FinPair.connecting(in: world)
        _ = RawSyscalls.send(pair.plain, "a line\nand what follows")
        let line = try await pair.fin.receiveLine() ?? "nothing"
        let rest = await Outcome(try await pair.fin.receive(upTo: 64)).told
        trial.expect("the line", .text(line), from: "readLine", equals: .text("a line"))
        trial.expect(
          "nothing was lost in a buffer", .text(rest), from: "receive", equals: .text("\"and what follows\""))
        let plain = pair.plain
        await pair.fin.close()
        RawSyscalls.close(plain)
        trial.outcome = "\"\(line)\", then \(rest)"
      }
    })
}

extension Pair {
  /// Makes a connection whose connecting side has this number, as if a program opened one at that moment.
  init(reusing number: Int32) throws {
    let listener = try Pair.movedAway(Pair.listener())
    let lower = Pair.takeNumbers(below: number)
    defer { lower.forEach { RawSyscalls.close($0) } }
    try self.init(through: listener)
    guard client == number else { throw SetupError("the number \(number) was not reused: the kernel gave \(client)") }
  }

  /// Makes a connection whose accepted side has this number.
  init(through listener: Int32, reusing number: Int32) throws {
    let connecting = Pair.movedAway(RawSyscalls.socket())
    let connected = RawSyscalls.connect(connecting, port: RawSyscalls.port(of: listener))
    guard connected.succeeded else { throw SetupError("connect: \(connected)") }
    let lower = Pair.takeNumbers(below: number)
    defer { lower.forEach { RawSyscalls.close($0) } }
    let accepted = Int32(RawSyscalls.accept(listener).value)
    guard accepted == number else {
      throw SetupError("the number \(number) was not reused: the kernel gave \(accepted)")
    }
    self.init(
      client: connecting, server: accepted, clientPort: RawSyscalls.port(of: connecting),
      serverPort: RawSyscalls.port(of: listener))
  }

  /// Moves a socket to a high number, so that it does not take the number that is to be reused.
  private static func movedAway(_ descriptor: Int32) -> Int32 {
    let high = fcntl(descriptor, F_DUPFD_CLOEXEC, Kernel.openSockets().max().map { $0 + 20 } ?? 20)
    RawSyscalls.close(descriptor)
    return high
  }

  /// Takes every free number below `number`, because the kernel assigns the lowest free number.
  private static func takeNumbers(below number: Int32) -> [Int32] {
    var taken: [Int32] = []
    while case let next = RawSyscalls.dup(STDIN_FILENO), next >= 0 {
      if next >= number {
        RawSyscalls.close(next)
        break
      }
      taken.append(next)
    }
    return taken
  }
}
