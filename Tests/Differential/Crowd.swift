import Fin
import Glibc
import Peers
import Synchronization

/// Plays a script about one stream with all actors at once: two holders of one connection, the peer, and a stranger
/// that takes each descriptor number as it becomes free. The answers are judged afterwards, by rules that hold in
/// any order.
final class Crowd: Play {
  private let script: Script
  private let holders: [Actor: Holder]
  private(set) var log: [String] = []

  fileprivate struct Said: Sendable {
    let step: Step
    let answer: Answer
    let id: UInt8
  }

  private struct Heard: Sendable {
    var bytes: [UInt8] = []
    var sent = 0
    var sawEnd = false
    var sawError = false
    var isWhole = false
  }

  init(_ script: Script, _ executors: Executors) {
    self.script = script
    holders = [
      .a: Holder(script.setting.a, executor: executors.of(script.setting.a)),
      .b: Holder(script.setting.b, executor: executors.of(script.setting.b)),
    ]
  }

  func run() throws {
    let opened = try Opening.open(script.setting)
    let (inode, peer) = (Kernel.inode(opened.number), opened.peer)
    let shared = opened.connection.share()
    for holder in holders.values { holder.put(.shared(shared)) }
    let crew = [Actor.a, .b].map { actor in
      let (steps, holder) = (script.steps.filter { $0.actor == actor }, holders[actor]!)
      return onThread { try Crowd.act(steps, holder, actor) }
    }
    let steps = script.steps.filter { $0.actor == .peer }
    let (isClosed, isOver) = (Flag(), Flag())
    let other = onThread { Crowd.actPeer(steps, peer, isClosed) }
    let stranger = onThread { try Crowd.takeNumbers(until: isOver) }
    defer {
      isClosed.set()
      isOver.set()
    }
    var said: [Actor: [Said]] = [:]
    var complaint: String?
    for (actor, thread) in zip([Actor.a, .b], crew) {
      do { said[actor] = try thread.join(within: .seconds(120)) } catch { complaint = complaint ?? "\(error)" }
    }
    // Closes the connection if no holder has, so that the peer reads an end.
    shared.abort()
    isClosed.set()
    let heard = try other.join(within: .seconds(60))
    for actor in [Actor.a, .b] { log += (said[actor] ?? []).map { "\($0.step): \($0.answer)" } }
    log.append("the peer sent \(heard.sent), read \(heard.bytes.count), end \(heard.sawEnd), error \(heard.sawError)")
    isOver.set()
    try stranger.join(within: .seconds(10))
    if let complaint { throw Divergence(text: complaint) }
    if Kernel.inode(opened.number) == inode { throw Divergence(text: "descriptor \(opened.number) is still open") }
    if let text = judge(said[.a] ?? [], said[.b] ?? [], heard) { throw Divergence(text: text) }
  }

  // MARK: Acting

  private static func act(_ steps: [Step], _ holder: Holder, _ actor: Actor) throws -> [Said] {
    var said: [Said] = []
    for (index, step) in steps.enumerated() {
      let id = UInt8(index + (actor == .a ? 1 : 101))
      let isSending = step.verb == .send || step.verb == .some
      let running = holder.start(step, isSending ? [UInt8](repeating: id, count: step.count) : [])
      // The other holder's close may have to end before this step returns.
      guard running.wait(within: .seconds(40)) else { throw Divergence(text: "\(step) does not end") }
      if step.policy == nil, step.verb != .finish, running.elapsed > step.within + Stage.slack {
        throw Divergence(text: "\(step) took \(running.elapsed)")
      }
      said.append(Said(step: step, answer: running.answer!, id: id))
    }
    return said
  }

  private static func actPeer(_ steps: [Step], _ peer: CInt, _ isClosed: Flag) -> Heard {
    var heard = Heard()
    func read(_ most: Int, waiting: CInt) -> Bool {
      var polled = pollfd(fd: peer, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&polled, 1, waiting) > 0 else { return false }
      switch Kernel.receive(peer, most) {
      case .bytes(let bytes):
        heard.bytes += bytes
        if bytes.isEmpty { heard.sawEnd = true }
        return !bytes.isEmpty
      case .error(EAGAIN): return false
      default:
        heard.sawError = true
        return false
      }
    }
    for step in steps where !heard.sawEnd && !heard.sawError {
      switch step.verb {
      case .send:
        switch Kernel.send(peer, Pattern.part(from: heard.sent, count: min(step.count, 20_000))) {
        case .count(let count): heard.sent += count
        case .error(EAGAIN), .bytes: break
        case .error:
          // The kernel reports the error once; unread bytes are given up.
          close(peer)
          heard.sawError = true
          return heard
        }
      case .finish: shutdown(peer, CInt(SHUT_WR))
      case .close, .reset:
        if step.verb == .reset {
          var value = linger(l_onoff: 1, l_linger: 0)
          unsafe setsockopt(peer, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        }
        close(peer)
        return heard
      default: _ = read(step.count, waiting: 5)
      }
    }
    // Reads until EOF or an error.
    var patience = 60
    while !heard.sawEnd, !heard.sawError, patience > 0 {
      guard !read(1 << 20, waiting: 1000), !heard.sawEnd, !heard.sawError else { continue }
      patience -= 1
      // A reset is sent once. The kernel of a peer that had no room for the segments before it discards it, because its
      // number lies beyond the window (RFC 5961, section 3.2). The peer may have finished, and asks by keepalive then.
      if isClosed.isSet, patience == 55 { Kernel.keepAlive(peer, seconds: 1) }
    }
    heard.isWhole = true
    close(peer)
    return heard
  }

  /// Takes each descriptor number that becomes free, for a moment, and checks that its sockets are not touched.
  private static func takeNumbers(until isOver: Flag) throws {
    var decoys: [Decoy] = []
    while !isOver.isSet {
      decoys.append(Decoy())
      if decoys.count > 4 { decoys.removeFirst() }
      for decoy in decoys { if let complaint = decoy.complaint() { throw Divergence(text: complaint) } }
      usleep(500)
    }
  }

  // MARK: Judging

  private func judge(_ a: [Said], _ b: [Said], _ heard: Heard) -> String? {
    var reports: Set<CloseReport> = []
    var failures: Set<SocketError.Cause> = []
    for said in a + b {
      if case .report(let report) = said.answer { reports.insert(report) }
      switch said.answer {
      case .refused(.reset, _), .failure(.reset?): failures.insert(.reset)
      case .refused(.peerClosed, _), .failure(.peerClosed?): failures.insert(.peerClosed)
      case .refused(.lost(let code), _): failures.insert(.lost(code))
      default: break
      }
    }
    if reports.count > 1 { return "different reports of one close: \(reports)" }
    if failures.count > 1 { return "different causes of one failure: \(failures)" }
    for crew in [a, b] {
      // After a holder's own close every verb is refused.
      guard let end = crew.firstIndex(where: { $0.step.policy != nil }) else { continue }
      for said in crew[(end + 1)...] where said.step.policy == nil && said.step.verb != .phase {
        guard case .refused(.closed, _) = said.answer else {
          return "after its close \(said.step) answered \(said.answer)"
        }
      }
    }
    let report = reports.first
    let accepted = (a + b).reduce(into: [UInt8: Int]()) { $0[$1.id] = $1.accepted }
    let total = accepted.values.reduce(0, +)
    return judgeInput(a, heard, report) ?? judgeOutput(accepted, total, heard, report)
  }

  private func judgeInput(_ a: [Said], _ heard: Heard, _ report: CloseReport?) -> String? {
    var received: [UInt8] = []
    var ended = false
    for said in a {
      switch said.answer {
      case .bytes(let bytes):
        if ended { return "bytes were received after EOF" }
        received += bytes
      case .end: ended = true
      case .refused(.reset, _) where ended && said.step.verb == .receive: return "a reset was reported after EOF"
      default: break
      }
    }
    // The count of bytes that the peer sent is exact, because each of its sends returned at once.
    guard received.count <= heard.sent else { return "more bytes were received than were sent" }
    guard Pattern.same(received, Pattern.part(from: 0, count: received.count)) else {
      return "the received bytes differ from those sent"
    }
    if ended, received.count != heard.sent { return "EOF after \(received.count) of \(heard.sent) bytes" }
    guard let report else { return nil }
    let all = received.count + report.bytesDiscarded
    if all > heard.sent { return "\(all) bytes were received or discarded, but only \(heard.sent) were sent" }
    if report.ending == .peerFinished, all != heard.sent {
      return "only \(all) of \(heard.sent) bytes were received or discarded"
    }
    return nil
  }

  private func judgeOutput(
    _ accepted: [UInt8: Int], _ total: Int, _ heard: Heard, _ report: CloseReport?
  ) -> String? {
    var seen: Set<UInt8> = []
    var rest = heard.bytes[...]
    while let id = rest.first {
      let length = rest.prefix { $0 == id }.count
      rest = rest.dropFirst(length)
      guard let count = accepted[id], seen.insert(id).inserted else {
        return "the peer read the bytes of one send in separate pieces, or bytes that were not sent"
      }
      guard length <= count else { return "\(length) bytes arrived of a send that accepted \(count)" }
      if length < count, !rest.isEmpty { return "\(count - length) bytes are missing in the middle" }
    }
    if heard.sawEnd, !heard.sawError, heard.bytes.count != total {
      return "the peer read EOF after \(heard.bytes.count) of \(total) bytes"
    }
    guard let report else { return nil }
    if script.setting.isTCP, report.bytesUnacknowledged > total {
      return "more bytes are unacknowledged than were sent: \(report)"
    }
    if report.isDelivered, heard.isWhole, heard.bytes.count != total {
      return "\(report) says delivered, but the peer read \(heard.bytes.count) of \(total) bytes"
    }
    return nil
  }
}

extension Crowd.Said {
  var accepted: Int {
    switch (step.verb, answer) {
    case (.send, .done): step.count
    case (.some, .count(let count)): count
    case (.send, .refused(_, let count)), (.some, .refused(_, let count)): count
    default: 0
    }
  }
}
