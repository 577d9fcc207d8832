import Fin
import Glibc
import Peers
import Synchronization
import SystemPackage

/// Plays a script about datagrams, step by step: both holders share one socket, and the peer is a plain socket. The
/// model is two queues of whole datagrams.
final class DatagramStage: Play {
  private let script: Script
  private let executors: Executors
  private(set) var log: [String] = []
  private var socket: SharedDatagramSocket?
  private var number: CInt = -1
  private var inode: UInt64?
  private var peer: CInt = -1
  /// The peer's address; `nil` if both sockets are connected from the beginning.
  private var remoteAddress: SocketAddress?
  private var paths: [String] = []
  private var isConnected = false
  private var isClosed = false
  /// The datagrams sent by the peer and not received: the start of each in the pattern, and its length.
  private var incoming: [(start: Int, count: Int)] = []
  private var outgoing: [(start: Int, count: Int)] = []
  private var sent = 0
  private var waiting: [Actor: (step: Step, running: Running, start: Int)] = [:]
  private var decoys: [Decoy] = []

  init(_ script: Script, _ executors: Executors) {
    self.script = script
    self.executors = executors
  }

  private func object(_ text: String) throws -> Never { throw Divergence(text: text) }

  func run() throws {
    defer { leave() }
    try open()
    for step in script.steps where allows(step) {
      try take(step)
      try look(after: step)
    }
    if !isClosed {
      let step = Step(.a, .abort)
      try end(step)
      try look(after: step)
    }
  }

  private func leave() {
    if let socket, !isClosed { socket.close() }
    if peer >= 0 { close(peer) }
    for (_, running, _) in waiting.values { _ = running.wait(within: .seconds(1)) }
    for path in paths { unsafe _ = unlink(path) }
  }

  // MARK: Opening

  private func open() throws {
    let own: DatagramSocket
    let timeouts = Timeouts.all(.seconds(30))
    switch script.setting.medium {
    case .pair:
      let pair = try DatagramSocket.pair(timeouts: timeouts)
      own = pair.first
      peer = pair.second.detach().rawValue
      isConnected = true
    case .unix:
      paths = [Opening.temporaryPath(), Opening.temporaryPath()]
      own = try DatagramSocket.bind(.unix(paths[0]), timeouts: timeouts)
      peer = try DatagramSocket.bind(.unix(paths[1])).detach().rawValue
      remoteAddress = try .unix(paths[1])
    case .tcp, .tcp6:
      let isV4 = script.setting.medium == .tcp
      own = try DatagramSocket.bind(isV4 ? .loopback(port: 0) : .loopback6(port: 0), timeouts: timeouts)
      let other = try DatagramSocket.bind(isV4 ? .loopback(port: 0) : .loopback6(port: 0))
      remoteAddress = other.localAddress
      try other.connect(to: own.localAddress!)
      peer = other.detach().rawValue
    }
    number = try own.withDescriptor { $0.rawValue }
    inode = Kernel.inode(number)
    if script.setting.medium == .unix {
      // A peer with a path is connected by a call of its own.
      let own = try SocketAddress.unix(paths[0])
      let other = try DatagramSocket.adopt(FileDescriptor(rawValue: peer))
      try other.connect(to: own)
      peer = other.detach().rawValue
    }
    socket = own.share()
  }

  private func allows(_ step: Step) -> Bool {
    if step.actor == .peer {
      switch step.verb {
      // A Unix socket queues at most ten datagrams.
      case .send: return !isClosed && incoming.count < 9
      case .read: return true
      default: return false
      }
    }
    if waiting[step.actor] != nil { return step.verb == .cancel && script.setting.world(of: step.actor) != .thread }
    switch step.verb {
    case .cancel: return false
    case .connect: return remoteAddress != nil
    // The model cannot predict which of two waiting receives gets a datagram, so only one waits at a time.
    case .receive: return waiting.values.allSatisfy { $0.step.verb != .receive }
    case .send: return waiting.values.allSatisfy { $0.step.verb != .send }
    default: return true
    }
  }

  // MARK: Steps

  private func take(_ step: Step) throws {
    switch (step.actor, step.verb) {
    case (.peer, .send):
      let moved = Kernel.send(peer, Pattern.part(from: sent, count: step.count))
      log.append("\(step): \(moved)")
      guard moved == .count(step.count) else { try object("\(step): the peer cannot send: \(moved)") }
      incoming.append((sent, step.count))
      sent += 3001
    case (.peer, .read):
      let moved = Kernel.receive(peer, step.count)
      log.append("\(step): \(moved.text)")
      try judgeRead(step, moved)
    case (_, .cancel):
      log.append("\(step)")
      waiting[step.actor]!.running.cancel()
      try join(step.actor, "it was cancelled")
    case (_, .receive), (_, .send): try start(step)
    case (_, .abort): try end(step)
    default: try look(step)
    }
  }

  private func judgeRead(_ step: Step, _ moved: Kernel.Moved) throws {
    switch moved {
    case .bytes(let bytes):
      guard let first = outgoing.first else { try object("\(step): received a datagram that was not sent") }
      outgoing.removeFirst()
      guard Pattern.same(bytes, Pattern.part(from: first.start, count: first.count)) else {
        try object("\(step): \(bytes.count) bytes, but \(first.count) were sent")
      }
    case .error(EAGAIN): if !outgoing.isEmpty { try object("\(step): \(outgoing.count) datagrams were lost") }
    // A socket that is connected to a closed one gets an error.
    case .error(let code): if !isClosed { try object("\(step): error \(code)") }
    case .count: break
    }
  }

  private func start(_ step: Step) throws {
    let running = Running()
    let (socket, start, isConnected) = (socket!, sent, isConnected)
    let to = isConnected ? nil : remoteAddress
    let bytes = step.verb == .send ? Pattern.part(from: start, count: step.count) : []
    if step.verb == .send { sent += 3001 }
    let world = script.setting.world(of: step.actor)
    if world == .thread {
      running.thread { DatagramStage.perform(socket, step, bytes, to) }
    } else {
      running.task(on: executors.of(world)) { await DatagramStage.perform(socket, step, bytes, to) }
    }
    waiting[step.actor] = (step, running, start)
    if mustEnd(step) != true {
      running.settle()
      if running.answer == nil { return log.append("\(step) waits") }
    }
    guard running.wait(within: (step.budget == Step.long ? .zero : step.within) + Stage.slack) else {
      try object("\(step) does not end")
    }
    try judge(step.actor)
  }

  private func mustEnd(_ step: Step) -> Bool? {
    if isClosed || step.budget != Step.long { return true }
    if step.verb == .receive { return !incoming.isEmpty }
    // The queue of a Unix socket is short.
    return outgoing.count < 9 && script.setting.isTCP ? true : outgoing.count < 8 ? true : nil
  }

  private static func perform(_ it: SharedDatagramSocket, _ step: Step, _ bytes: [UInt8], _ to: SocketAddress?)
    -> Answer
  {
    do throws(SocketError) {
      if step.verb == .receive { return Answer(try it.receive(upTo: step.count, within: Timeout(step.within))) }
      try it.send(bytes, to: to, within: Timeout(step.within))
      return .done
    } catch { return Answer(error) }
  }

  private static func perform(
    _ it: SharedDatagramSocket, _ step: Step, _ bytes: [UInt8], _ to: SocketAddress?
  ) async -> Answer {
    do throws(SocketError) {
      if step.verb == .receive { return Answer(try await it.receive(upTo: step.count, within: Timeout(step.within))) }
      try await it.send(bytes, to: to, within: Timeout(step.within))
      return .done
    } catch { return Answer(error) }
  }

  private func end(_ step: Step) throws {
    socket!.close()
    isClosed = true
    log.append("\(step)")
    if Kernel.inode(number) == inode { try object("\(step): descriptor \(number) is still open") }
    decoys.append(Decoy())
  }

  private func look(_ step: Step) throws {
    var refusal: SocketError.Cause?
    do throws(SocketError) {
      switch step.verb {
      case .connect:
        try socket!.connect(to: remoteAddress!)
        isConnected = true
      case .option: _ = try socket!.option(.receiveBuffer)
      case .lend:
        if try socket!.withDescriptor({ Kernel.inode($0.rawValue) }) != inode { refusal = .invalid("another socket") }
      default: break
      }
    } catch { refusal = error.cause }
    log.append("\(step): \(refusal.map { "\($0)" } ?? "done")")
    if step.verb == .phase {
      if (socket!.phase == .closed) != isClosed { try object("\(step): \(socket!.phase)") }
    } else if (refusal != nil) != isClosed || isClosed && refusal != .closed {
      try object("\(step): \(refusal.map { "\($0)" } ?? "done")")
    }
  }

  // MARK: Judging

  private func join(_ actor: Actor, _ why: String) throws {
    guard let (step, running, _) = waiting[actor] else { return }
    guard running.wait(within: Stage.slack) else { try object("\(step) does not end, although \(why)") }
    try judge(actor)
  }

  private func judge(_ actor: Actor) throws {
    guard let (step, running, start) = waiting.removeValue(forKey: actor), let answer = running.answer else { return }
    log.append("\(step): \(answer)")
    if isClosed {
      if case .refused(.closed, _) = answer { return }
      try object("\(step): \(answer), but the socket was closed")
    }
    switch (step.verb, answer) {
    case (_, .refused(.cancelled, _)): return
    case (.receive, .given(let length, let bytes)):
      guard let first = incoming.first else { try object("\(step): received a datagram that was not sent") }
      incoming.removeFirst()
      let most = min(step.count, first.count)
      guard Int(length) == first.count, Pattern.same(bytes, Pattern.part(from: first.start, count: most)) else {
        try object("\(step): \(bytes.count) bytes of \(length), but \(first.count) were sent")
      }
    case (.receive, .refused(.timedOut, _)):
      if !incoming.isEmpty || step.budget == Step.long {
        try object("\(step): timed out, but \(incoming.count) datagrams were queued")
      }
    case (.send, .done): outgoing.append((start, step.count))
    case (.send, .refused(.timedOut, _)):
      if script.setting.isTCP || outgoing.count < 8 || step.budget == Step.long {
        try object("\(step): timed out, but there was room")
      }
    default: try object("\(step): \(answer)")
    }
  }

  private func look(after step: Step) throws {
    for actor in [Actor.a, .b] {
      guard let (pending, running, _) = waiting[actor] else { continue }
      switch mustEnd(pending) {
      case true?: try join(actor, "\(step) should have ended it")
      case false?: if running.answer != nil { try judge(actor) }
      case nil: if running.wait(within: .milliseconds(60)) { try judge(actor) }
      }
    }
    if !isClosed, Kernel.inode(number) != inode {
      try object("after \(step) descriptor \(number) no longer refers to our socket")
    }
    for decoy in decoys { if let complaint = decoy.complaint() { try object("after \(step) \(complaint)") } }
  }
}

extension Answer {
  /// The length of a datagram, and its received bytes.
  fileprivate init(_ datagram: Datagram) { self = .given(CInt(datagram.length), datagram.bytes) }
}
