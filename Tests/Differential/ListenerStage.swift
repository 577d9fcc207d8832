import Fin
import Glibc
import Peers
import Synchronization
import SystemPackage

/// Plays a script about a listener, step by step: A owns it, B has its handle, and the peer stands for its clients. The
/// model is the accept queue: its clients, their order, and whether another client may connect.
final class ListenerStage: Play {
  private enum Course { case listening, paused, stopping, closed, given }

  fileprivate final class Shelf: Sendable {
    let listener = Mutex<Listener?>(nil)
    let accepted = Mutex<Connection?>(nil)
  }

  private let script: Script
  private let executor: any TaskExecutor
  private(set) var log: [String] = []
  private let shelf = Shelf()
  private var handle: ListenerHandle?
  private var course = Course.listening
  /// The clients that wait to be accepted, in order.
  private var queue: [CInt] = []
  private var clients: [CInt] = []
  private var accepting: (step: Step, running: Running)?
  private var number: CInt = -1
  private var inode: UInt64?
  private var address: SocketAddress?
  private var path: String?
  private var decoys: [Decoy] = []

  init(_ script: Script, _ executors: Executors) {
    self.script = script
    executor = executors.of(script.setting.a)
  }

  private func object(_ text: String) throws -> Never { throw Divergence(text: text) }

  func run() throws {
    let listener: Listener
    let timeouts = Timeouts.all(.seconds(30))
    switch script.setting.medium {
    case .tcp: listener = try Listener.bind(.loopback(port: 0), timeouts: timeouts)
    case .tcp6: listener = try Listener.bind(.loopback6(port: 0), timeouts: timeouts)
    case .unix, .pair:
      path = Opening.temporaryPath()
      listener = try Listener.bind(.unix(path!), timeouts: timeouts)
    }
    address = listener.localAddress
    handle = listener.handle
    number = try listener.withDescriptor { $0.rawValue }
    inode = Kernel.inode(number)
    shelf.put(listener)
    defer { leave() }
    for step in script.steps where allows(step) {
      try take(step)
      try look(after: step)
    }
    if accepting != nil {
      handle!.stop()
      course = .stopping
      try join("a stop ends the wait")
    }
  }

  private func leave() {
    // A connection that was accepted but not judged.
    if case let connection? = shelf.accepted.withLock({ $0.take() }) { connection.abort() }
    for client in clients { close(client) }
    if case let listener? = shelf.take() { listener.close() }
    if course == .given { close(number) }
    if let accepting { _ = accepting.running.wait(within: .seconds(5)) }
    if let path { unsafe _ = unlink(path) }
  }

  private func allows(_ step: Step) -> Bool {
    let isBusy = accepting != nil
    switch (step.actor, step.verb) {
    // Not while the listener stops: the kernel decides how many clients its shortened accept queue still takes.
    case (.peer, .connect):
      // A paused Unix listener has room for one client; the next would have to wait.
      if course == .paused, !script.setting.isTCP { return queue.isEmpty }
      return course != .stopping && course != .given && clients.count < 40
    case (.a, .accept), (.a, .detach): return !isBusy && course != .given && shelf.isFull
    case (.a, .abort): return !isBusy && shelf.isFull
    case (.a, .cancel): return isBusy && script.setting.a != .thread
    case (.a, .adopt): return course == .given
    case (.a, .pause), (.a, .resume), (.a, .phase): return !isBusy && shelf.isFull
    case (.b, .pause), (.b, .resume), (.b, .stop), (.b, .phase): return course != .given
    default: return false
    }
  }

  // MARK: Steps

  private func take(_ step: Step) throws {
    switch step.verb {
    case .connect: try connect(step)
    case .accept: try accept(step)
    case .cancel:
      log.append("\(step)")
      accepting!.running.cancel()
      try join("it was cancelled")
    case .pause, .resume: try turn(step)
    case .stop:
      log.append("\(step)")
      handle!.stop(within: .seconds(20))
      if course == .listening || course == .paused { course = .stopping }
    case .phase:
      let phase = handle!.phase
      log.append("\(step): \(phase)")
      let right: Phase =
        switch course {
        case .listening: .listening
        case .paused: .paused
        case .stopping: .stopping
        case .closed, .given: .closed
        }
      if phase != right { try object("\(step): \(phase), but it should be \(right)") }
    case .abort:
      let listener = shelf.take()!
      let report = listener.close()
      log.append("\(step): \(report.clientsReset) clients reset")
      if course != .closed, script.setting.isTCP, course != .stopping, report.clientsReset != queue.count {
        try object("\(step): \(report.clientsReset) clients were reset, but \(queue.count) waited")
      }
      try released(step)
    case .detach: try detach(step)
    case .adopt:
      let listener = try Listener.adopt(FileDescriptor(rawValue: number), timeouts: .all(.seconds(30)))
      handle = listener.handle
      shelf.put(listener)
      course = .listening
      log.append("\(step)")
    default: break
    }
  }

  private func turn(_ step: Step) throws {
    var refusal: SocketError.Cause?
    do throws(SocketError) {
      if step.verb == .pause { try handle!.pause(resettingQueue: true) } else { try handle!.resume() }
    } catch { refusal = error.cause }
    log.append("\(step): \(refusal.map { "\($0)" } ?? "done")")
    switch (course, step.verb, refusal) {
    case (.listening, .pause, nil):
      course = .paused
      // The clients in the accept queue are reset; on a Unix socket they stay.
      if script.setting.isTCP { queue = [] }
    case (.paused, .resume, nil): course = .listening
    case (.listening, .resume, .invalid?), (.paused, .pause, .invalid?): break
    case (.stopping, _, .invalid?), (.stopping, _, .closed?), (.closed, _, .closed?), (.closed, _, .invalid?): break
    default: try object("\(step): \(refusal.map { "\($0)" } ?? "done"), but the listener is \(course)")
    }
  }

  private func detach(_ step: Step) throws {
    let listener = shelf.take()!
    var refusal: SocketError.Cause?
    do throws(SocketError) {
      if try listener.detach().rawValue != number { refusal = .invalid("another socket's number") }
    } catch { refusal = error.cause }
    log.append("\(step): \(refusal.map { "\($0)" } ?? "given")")
    switch (course, refusal) {
    case (.closed, .closed?): break
    // A paused listener is detached as it is, not listening.
    case (.listening, nil): course = .given
    case (.paused, nil), (.stopping, nil):
      close(number)
      try released(step)
    default: try object("\(step): \(refusal.map { "\($0)" } ?? "given"), but the listener is \(course)")
    }
  }

  // MARK: Clients

  private func connect(_ step: Step) throws {
    var outcome = "connected"
    do {
      let client: PlainSocket =
        if let path { try .connected(toUnix: path) } else {
          try .connected(to: script.setting.medium == .tcp ? "127.0.0.1" : "::1", port: address!.port!)
        }
      let number = client.detach()
      clients.append(number)
      queue.append(number)
    } catch { outcome = "\(error)" }
    log.append("\(step): \(outcome)")
    let isIn = outcome == "connected"
    if isIn != (course == .listening || course == .paused && !script.setting.isTCP) {
      try object("\(step): \(outcome), but the listener is \(course)")
    }
  }

  // MARK: Accepting

  private func accept(_ step: Step) throws {
    let (shelf, running) = (shelf, Running())
    if script.setting.a == .thread {
      running.thread { ListenerStage.accept(shelf, step) }
    } else {
      running.task(on: executor) { await ListenerStage.accept(shelf, step) }
    }
    accepting = (step, running)
    if step.budget == Step.long, course == .listening, queue.isEmpty {
      running.settle()
      return log.append("\(step) waits")
    }
    guard running.wait(within: (step.budget == Step.long ? .zero : step.within) + Stage.slack) else {
      try object("\(step) does not end")
    }
    try judge()
  }

  private static func accept(_ shelf: Shelf, _ step: Step) -> Answer {
    let listener = shelf.take()!
    let answer: Answer
    do throws(SocketError) {
      shelf.keep(try listener.accept(within: Timeout(step.within)))
      answer = .done
    } catch { answer = Answer(error) }
    shelf.put(listener)
    return answer
  }

  private static func accept(_ shelf: Shelf, _ step: Step) async -> Answer {
    let listener = shelf.take()!
    let answer: Answer
    do throws(SocketError) {
      shelf.keep(try await listener.accept(within: Timeout(step.within)))
      answer = .done
    } catch { answer = Answer(error) }
    shelf.put(listener)
    return answer
  }

  private func join(_ why: String) throws {
    guard let (step, running) = accepting else { return }
    guard running.wait(within: Stage.slack) else { try object("\(step) does not end, although \(why)") }
    try judge()
  }

  private func judge() throws {
    guard let (step, running) = accepting, let answer = running.answer else { return }
    accepting = nil
    log.append("\(step): \(answer)")
    switch answer {
    case .done:
      guard !queue.isEmpty else { try object("\(step): a client was accepted, but none waited") }
      let client = queue.removeFirst()
      guard case let connection? = shelf.accepted.withLock({ $0.take() }) else { return }
      try judge(connection, client, step)
    case .refused(.timedOut, _):
      if !queue.isEmpty || step.budget == Step.long {
        try object("\(step): timed out, but \(queue.count) clients waited")
      }
      if course == .closed { try object("\(step): timed out, but the listener was closed") }
    case .refused(.paused, _): if course != .paused { try object("\(step): paused, but the listener was \(course)") }
    case .refused(.cancelled, _): break
    case .refused(.closed, _):
      if course != .stopping && course != .closed { try object("\(step): closed, but the listener was \(course)") }
      if course == .stopping, !queue.isEmpty { try object("\(step): closed, but \(queue.count) clients waited") }
      if course == .stopping { try released(step) }
    default: try object("\(step): \(answer)")
    }
  }

  /// Checks that the accepted client is the one that waited longest, by a byte that it sends.
  private func judge(_ connection: consuming Connection, _ client: CInt, _ step: Step) throws {
    let id = UInt8(truncatingIfNeeded: client)
    _ = Kernel.send(client, [id])
    let came = try? synchronously { try connection.receive(upTo: 9, within: .seconds(10)) }
    connection.abort()
    guard came == [id] else {
      try object("\(step): the accepted client was not the first in the queue: \(String(describing: came))")
    }
  }

  private func released(_ step: Step) throws {
    course = .closed
    queue = []
    if Kernel.inode(number) == inode { try object("\(step): descriptor \(number) is still open") }
    decoys.append(Decoy())
  }

  private func look(after step: Step) throws {
    if accepting != nil {
      if course != .listening || !queue.isEmpty {
        try join("\(step) should have ended it")
      } else if accepting!.running.answer != nil {
        try judge()
      }
    }
    if course != .closed, Kernel.inode(number) != inode {
      try object("after \(step) descriptor \(number) no longer refers to our socket")
    }
    if course == .listening, Kernel.option(number, SOL_SOCKET, SO_ACCEPTCONN) != 1 {
      try object("after \(step) the socket does not listen")
    }
    for decoy in decoys { if let complaint = decoy.complaint() { try object("after \(step) \(complaint)") } }
  }
}

extension ListenerStage.Shelf {
  func put(_ new: consuming Listener) {
    var parcel = Optional(new)
    listener.withLock { $0 = parcel.take() }
  }

  func take() -> Listener? { listener.withLock { $0.take() } }

  var isFull: Bool {
    listener.withLock { listener in
      switch listener {
      case .some: true
      case .none: false
      }
    }
  }

  func keep(_ new: consuming Connection) {
    var parcel = Optional(new)
    accepted.withLock { $0 = parcel.take() }
  }
}
