import Fin
import Glibc
import Peers
import Synchronization
import SystemPackage

/// Plays a script of one kind.
protocol Play {
  var log: [String] { get }
  func run() throws
}

struct Divergence: Error { let text: String }

/// Plays a script about one stream, step by step, and compares each step with the model.
final class Stage: Play {
  /// The tolerance beyond each deadline, for a loaded machine.
  static let slack = Duration.seconds(10)

  private let script: Script
  private var model: Model
  private let holders: [Actor: Holder]
  private var running: [Actor: Running] = [:]
  private var peer: CInt = -1
  /// The inode of our socket.
  private var inode: UInt64?
  private var decoys: [Decoy] = []
  private(set) var log: [String] = []

  init(_ script: Script, _ executors: Executors) {
    self.script = script
    model = Model(script.setting)
    holders = [
      .a: Holder(script.setting.a, executor: executors.of(script.setting.a)),
      .b: Holder(script.setting.b, executor: executors.of(script.setting.b)),
    ]
  }

  /// Plays a script.
  ///
  /// - Returns: The first difference between the model and Fin or the kernel; `nil` if there is none.
  static func play(_ script: Script, _ executors: Executors, isVerbose: Bool = false) -> String? {
    let play: any Play =
      switch script.setting.kind {
      case .stream: Stage(script, executors)
      case .crowd: Crowd(script, executors)
      case .listener: ListenerStage(script, executors)
      case .datagram: DatagramStage(script, executors)
      }
    var complaint: String?
    do { try play.run() } catch { complaint = (error as? Divergence)?.text ?? "\(error)" }
    if isVerbose { for line in play.log { print("  \(line)") } }
    return complaint
  }

  func run() throws {
    try open()
    defer { if peer >= 0 { close(peer) } }
    do {
      for step in script.steps where model.allows(step) { try take(step) }
      try finish()
    } catch {
      // Sockets that are still held must not stay open during the next script.
      abandon()
      throw error
    }
  }

  private func object(_ text: String) throws -> Never { throw Divergence(text: text) }

  private func open() throws {
    let opened = try Opening.open(script.setting)
    peer = opened.peer
    inode = Kernel.inode(opened.number)
    holders[.a]!.number.withLock { $0 = opened.number }
    holders[.a]!.put(.owner(opened.connection))
  }

  // MARK: Steps

  private func take(_ step: Step) throws {
    if step.actor == .peer { try takePeer(step) } else { try takeHolder(step) }
    try look(after: step)
  }

  private func takeHolder(_ step: Step) throws {
    let holder = holders[step.actor]!
    if step.verb == .cancel {
      model.parts[model.hands[step.actor]!.part].isCut = true
      log.append("\(step)")
      running[step.actor]!.cancel()
      return try join(step.actor, "it was cancelled")
    }
    if step.verb == .duplicate {
      let answer = holder.duplicate(into: holders[model.other(step.actor)]!)
      return try judge(step.actor, step, answer, .zero)
    }
    let bytes = model.begin(step)
    let before = unackedBounds(step)
    let run = holder.start(step, bytes)
    running[step.actor] = run
    switch model.mustEnd(step.actor, step) {
    case true?:
      let limit = step.verb == .finish || step.budget == Step.long ? .zero : step.within
      guard run.wait(within: limit + Stage.slack) else { try object("\(step) does not end") }
      try judge(step.actor, step, run.answer!, run.elapsed)
      try compare(step, run.answer!, before)
    case false?:
      run.settle()
      if let answer = run.answer {
        try judge(step.actor, step, answer, run.elapsed)
      } else {
        log.append("\(step) waits")
      }
    case nil:
      run.settle()
      if run.wait(within: .milliseconds(100)) {
        try judge(step.actor, step, run.answer!, run.elapsed)
      } else {
        log.append("\(step) may wait")
      }
    }
  }

  private func judge(_ actor: Actor, _ step: Step, _ answer: Answer, _ elapsed: Duration) throws {
    log.append("\(step): \(answer)")
    running[actor] = nil
    if let complaint = model.judge(actor, step, answer, elapsed) { try object("\(step): \(answer), but \(complaint)") }
    let part = model.hands[actor]!.part
    switch step.verb {
    case .share:
      let other = model.other(actor)
      if model.hands[other]!.kind == .nothing, let shared = holders[actor]!.sharedCopy() {
        model.hands[other] = Model.Hand(kind: .shared, part: part)
        holders[other]!.number.withLock { $0 = holders[actor]!.number.withLock { $0 } }
        holders[other]!.put(.shared(shared))
      }
    case .confirmed, .lingering, .background, .abort: try expectReleased(actor, step, answer)
    case .lend:
      if case .inode(let lent) = answer, lent != inode { try object("\(step): it passed another socket's descriptor") }
    default: break
    }
  }

  /// Checks that the descriptor was closed, and lets a stranger take its number, to detect a second close.
  private func expectReleased(_ actor: Actor, _ step: Step, _ answer: Answer) throws {
    let number = holders[actor]!.number.withLock { $0 }
    if Kernel.inode(number) == inode { try object("\(step): descriptor \(number) is still open") }
    decoys.append(Decoy())
    if decoys.count > 3 { decoys.removeFirst() }
    guard case .report(let report) = answer, report.isDelivered, !model.peerClosed, !model.isHazy else { return }
    let arrived = Kernel.incoming(peer)
    let whole = model.isTCP ? arrived == model.outstanding : arrived == 0
    if !whole {
      try object("\(step): \(report) says delivered, but the peer has \(arrived) of \(model.outstanding) bytes")
    }
  }

  /// The kernel's count of unacknowledged bytes before a step that asks Fin for it.
  private func unackedBounds(_ step: Step) -> Int? {
    guard step.verb == .unacked, let number = openNumber else { return nil }
    return Kernel.outgoing(number)
  }

  private func compare(_ step: Step, _ answer: Answer, _ before: Int?) throws {
    guard let before, case .count(let count) = answer, model.failure == nil, !model.isHazy, let number = openNumber
    else { return }
    let after = Kernel.outgoing(number)
    let most = model.isTCP && model.weFinished ? max(0, before) : before
    let least = model.isTCP && model.weFinished ? max(0, after - 1) : after <= 1 ? 0 : after
    if count > most || count < least { try object("\(step): \(count), but the kernel counts \(before) to \(after)") }
    if model.isTCP, count > model.mostSent { try object("\(step): \(count) of \(model.mostSent) bytes") }
  }

  private func join(_ actor: Actor, _ why: String) throws {
    guard let run = running[actor], let step = model.hands[actor]!.pending else { return }
    guard run.wait(within: Stage.slack) else { try object("\(step) does not end, although \(why)") }
    try judge(actor, step, run.answer!, run.elapsed)
  }

  // MARK: The peer's steps

  private func takePeer(_ step: Step) throws {
    switch step.verb {
    case .send:
      let moved = Kernel.send(peer, Pattern.part(from: model.peerSent, count: step.count))
      log.append("\(step): \(moved)")
      guard case .count(let count) = moved else {
        if model.ending == nil, !model.isHazy { try object("\(step): the peer cannot send, \(moved)") }
        // The kernel reports the error once; a later read does not get it again.
        model.peerSawError = true
        return
      }
      model.peerSends(count)
    case .read:
      let mustHear = model.peerMustHear
      if mustHear { try awaitReadable() }
      let moved = Kernel.receive(peer, step.count)
      log.append("\(step): \(moved.text)")
      if let complaint = model.peerReads(step.count, moved, arrived: mustHear) { try object("\(step): \(complaint)") }
    case .finish:
      log.append("\(step)")
      shutdown(peer, CInt(SHUT_WR))
      model.peerFinishes()
    case .close, .reset:
      let unread = max(0, Kernel.incoming(peer))
      log.append("\(step) with \(unread) unread")
      if step.verb == .reset {
        var value = linger(l_onoff: 1, l_linger: 0)
        unsafe setsockopt(peer, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
      }
      close(peer)
      peer = -1
      model.peerGoes(byReset: step.verb == .reset, unread: unread)
    default: break
    }
  }

  private func awaitReadable() throws {
    var polled = pollfd(fd: peer, events: Int16(POLLIN), revents: 0)
    if unsafe poll(&polled, 1, 10_000) == 0 {
      try object("the peer can read nothing, but bytes or EOF are due")
    }
  }

  // MARK: After each step

  private var openNumber: CInt? {
    for (actor, hand) in model.hands where hand.kind != .nothing {
      let number = holders[actor]!.number.withLock { $0 }
      if number >= 0, hand.kind == .given || !model.parts[hand.part].isClosing, Kernel.inode(number) == inode {
        return number
      }
    }
    return nil
  }

  private func look(after step: Step) throws {
    if model.isTCP, !model.isHazy {
      // Loopback is fast but not instantaneous.
      if let number = openNumber, model.failure == nil {
        try eventually(within: Stage.slack, "after \(step) the peer's bytes have arrived", equals: true) {
          Kernel.received(number) >= model.peerSent
        }
      }
      if !model.peerClosed, model.fits, model.ending == nil {
        try eventually(within: Stage.slack, "after \(step) the accepted bytes have arrived", equals: true) {
          Kernel.received(peer) >= model.surelySent
        }
      }
    }
    // Checks that the steps that must end have ended, and the others have not. Twice, because the end of one step may
    // be what the other waits for.
    for _ in 0..<2 {
      for actor in [Actor.a, .b] {
        guard let pending = model.hands[actor]!.pending, let run = running[actor] else { continue }
        switch model.mustEnd(actor, pending) {
        case true?: try join(actor, "\(step) should have ended it")
        case false?: if run.answer != nil { try join(actor, "it has answered") }
        case nil: if run.wait(within: .milliseconds(5)) { try join(actor, "it has answered") }
        }
      }
    }
    if let number = openNumber, !model.isHazy, model.hands.values.allSatisfy({ $0.pending == nil }) {
      // Fin receives only the requested bytes from the kernel, except for lines and similar verbs, which read ahead.
      let queued = Kernel.incoming(number)
      if queued > model.available || queued < model.available && !model.parts.contains(where: \.mayBuffer) {
        try object("after \(step) the kernel queues \(queued) bytes, but \(model.available) were not received")
      }
    }
    if let number = openNumber, model.isTCP {
      let states = model.states
      try eventually(within: Stage.slack, "after \(step) the kernel's state is one of \(states.sorted())", equals: true)
      {
        states.contains(Kernel.state(number))
      }
    }
    for (actor, hand) in model.hands
    where hand.kind != .nothing && hand.kind != .given && !model.parts[hand.part].isClosing {
      let number = holders[actor]!.number.withLock { $0 }
      if Kernel.inode(number) != inode { try object("after \(step) descriptor \(number) is no longer our socket") }
    }
    for decoy in decoys { if let complaint = decoy.complaint() { try object("after \(step) \(complaint)") } }
  }

  // MARK: Ending

  private func finish() throws {
    // A close by the other holder ends a wait if both hold the same object; otherwise the peer's close does.
    for actor in [Actor.a, .b] where model.hands[actor]!.pending != nil {
      let other = model.other(actor)
      let closing = Step(other, .abort)
      if model.hands[other]!.part == model.hands[actor]!.part, model.allows(closing) { try take(closing) }
    }
    if model.hands.values.contains(where: { $0.pending != nil }), !model.peerClosed { try take(Step(.peer, .close)) }
    for actor in [Actor.a, .b] { try join(actor, "the peer has closed") }
    for actor in [Actor.a, .b] {
      if model.hands[actor]!.kind == .given {
        holders[actor]!.put(.nothing)
        close(holders[actor]!.number.withLock { $0 })
        model.hands[actor] = Model.Hand()
        model.isHazy = true
      }
      let closing = Step(actor, .abort)
      if model.allows(closing), !model.parts[model.hands[actor]!.part].isClosed { try take(closing) }
    }
    for _ in 0..<1000 where !model.peerClosed {
      let before = (model.peerRead, model.peerSawError)
      try take(Step(.peer, .read, 300_000))
      if (model.peerRead, model.peerSawError) == before { break }
    }
  }

  private func abandon() {
    if peer >= 0 { close(peer) }
    peer = -1
    for (actor, run) in running {
      run.cancel()
      _ = run.wait(within: .seconds(1))
      running[actor] = nil
    }
    for holder in holders.values {
      switch holder.take() {
      case .owner(let it): it.abort()
      case .receiving(let it): it.abort()
      case .shared(let it): it.abort()
      case .given(let it): close(it.rawValue)
      case .nothing: break
      }
    }
  }
}

extension Kernel.Moved {
  var text: String {
    if case .bytes(let bytes) = self { return "\(bytes.count) bytes" }
    return "\(self)"
  }
}
