import Fin
import Glibc

/// The model of one connection, after RFC 9293 and the promises in Fin's documentation: a state machine that makes no
/// system call. It is given each step and each answer, and returns a complaint if an answer is wrong.
struct Model {
  enum Kind { case nothing, owner, receiving, shared, given }

  /// One of Fin's objects for our side. There are two if a descriptor was duplicated.
  struct Part {
    var isClosing = false
    var isClosed = false
    var report: CloseReport?
    var mayBuffer = false
    /// The number of closes that have begun and not returned.
    var closers = 0
    /// The first of these closes, whose policy applies.
    var closing: Step?
    /// Whether an abort, a cancellation or a later close with a shorter timeout may have shortened the close.
    var isCut = false
  }

  struct Hand {
    var kind = Kind.nothing
    var part = 0
    /// The step that has begun and not ended.
    var pending: Step?
    /// The index in `sends` of the pending send.
    var sending: Int?
  }

  /// One send: its start in the pattern, its size, and the number of accepted bytes, which is `nil` while it waits.
  struct Sent {
    let start: Int
    let count: Int
    var accepted: Int?
  }

  enum Failure { case reset, peerClosed }

  /// Whether the model is deliberately wrong, to test this test.
  static let isWrong = unsafe getenv("FIN_WRONG_MODEL") != nil

  let setting: Setting
  var parts = [Part()]
  var hands: [Actor: Hand] = [.a: Hand(kind: .owner), .b: Hand()]
  var wasDuplicated = false
  /// Whether the connection was adopted, duplicated or half-closed without Fin, so that its phase is not predicted.
  var phaseIsOpen = false

  // Our side to the peer.
  var sends: [Sent] = []
  var peerRead = 0
  var weFinished = false
  // The peer to our side.
  var peerSent = 0
  var consumed = 0
  var peerFinished = false
  var peerClosed = false
  var peerSawError = false
  var peerSentAfterEnd = false

  /// The error that ended the connection according to the kernel.
  var failure: Failure?
  /// Whether Fin has seen the failure; `nil` if unknown.
  var isHeard: Bool? = false
  var sawEnd = false
  /// How our last descriptor of the connection was closed.
  var ending: Ending?
  var lastPolicy: Verb?
  /// Whether bytes were in flight when the peer closed, so that their fate and later errors are not predicted.
  var isHazy = false

  init(_ setting: Setting) { self.setting = setting }

  var isTCP: Bool { setting.isTCP }
  var mostSent: Int { sends.reduce(0) { $0 + ($1.accepted ?? $1.count) } }
  var surelySent: Int { sends.reduce(0) { $0 + ($1.accepted ?? 0) } }
  var available: Int { peerSent - consumed }
  /// The number of bytes accepted and not read by the peer's program.
  var outstanding: Int { max(0, mostSent - peerRead) }
  /// Whether the peer's receive buffer has room for all accepted bytes.
  var fits: Bool { !isHazy && outstanding <= (setting.buffers == .small ? 600 : 40_000) }
  var isOpen: Bool { hands.values.contains { $0.kind != .nothing && !($0.kind != .given && parts[$0.part].isClosed) } }

  func other(_ actor: Actor) -> Actor { actor == .a ? .b : .a }

  /// The bytes that the peer must read next.
  func expected(from position: Int, count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var passed = 0
    for sent in sends {
      let length = sent.accepted ?? sent.count
      let from = max(0, position - passed)
      let to = min(length, position + count - passed)
      if from < to { bytes += Pattern.part(from: sent.start + from, count: to - from) }
      passed += length
    }
    return bytes
  }

  /// The possible values of `tcpi_state`, in Linux's numbers, once every segment has arrived.
  var states: Set<UInt8> {
    if isHazy { return Set(1...11) }
    if failure != nil { return [7] }
    switch (weFinished, peerFinished) {
    case (false, false): return [1]
    case (true, false): return fits ? [5] : [4, 5]
    case (false, true): return [8]
    case (true, true): return fits ? [7] : [4, 7, 9, 11]
    }
  }

  // MARK: Whether a step is allowed

  func allows(_ step: Step) -> Bool {
    if step.actor == .peer {
      switch step.verb {
      case .send: return !peerClosed && !peerFinished && available + step.count < 60_000
      case .read: return !peerClosed
      case .finish: return !peerClosed && !peerFinished
      case .close, .reset: return !peerClosed
      default: return false
      }
    }
    let hand = hands[step.actor]!
    let neighbour = hands[other(step.actor)]!
    if hand.pending != nil { return step.verb == .cancel && setting.world(of: step.actor) != .thread }
    let isTalk: Bool
    switch step.verb {
    case .cancel, .read, .close, .reset, .accept, .pause, .resume, .stop, .connect: return false
    case .adopt: return hand.kind == .given
    case .share: return hand.kind == .owner
    // If both were detached, Fin would not recognise the connection, and would treat an adopted one as the only one.
    case .detach: return hand.kind == .owner && neighbour.kind != .given
    case .duplicate: return hand.kind == .owner && neighbour.kind == .nothing && !parts[hand.part].mayBuffer
    case .finish: return hand.kind == .owner || hand.kind == .shared
    case .shut: return (hand.kind == .owner || hand.kind == .shared) && neighbour.pending == nil
    case .send, .some:
      guard hand.kind == .owner || hand.kind == .shared else { return false }
      isTalk = true
    case .receive: isTalk = true
    // Bytes that one duplicate buffers are not seen by the other.
    case .exactly, .line, .peek:
      if wasDuplicated { return false }
      isTalk = true
    case .confirmed, .lingering, .background, .abort, .option, .unacked, .state, .phase, .lend, .failure: isTalk = false
    }
    if hand.kind == .nothing || hand.kind == .given { return false }
    return !(isTalk && wasDuplicated && neighbour.pending != nil)
  }

  // MARK: Whether a step must end

  /// Whether a step that has begun must end now (true), must not end (false), or may do either (`nil`).
  func mustEnd(_ actor: Actor, _ step: Step) -> Bool? {
    let hand = hands[actor]!
    let part = parts[hand.part]
    if step.policy == nil, part.isClosing { return true }
    // A background close has no timeout of its own: it waits for a close that is under way.
    if step.budget != Step.long, step.verb != .finish, step.verb != .background { return true }
    if isHazy { return nil }
    switch step.verb {
    case .receive, .peek, .exactly, .line:
      if isBusy(actor, reading: true) || failure != nil || peerFinished { return true }
      switch step.verb {
      case .exactly: return available >= step.count
      case .line: return Pattern.lineLength(from: consumed, within: available) != nil
      default: return available > 0
      }
    case .send, .some:
      if isBusy(actor, reading: false) { return failure == nil ? false : nil }
      if weFinished || failure != nil || step.count == 0 { return true }
      if setting.buffers == .wide { return true }
      return outstanding <= 600 ? true : nil
    case .finish: return isBusy(actor, reading: false) ? (failure == nil ? false : nil) : true
    case .confirmed, .lingering:
      if parts[hand.part].closers > 1 { return nil }
      if !isLast(hand.part) || failure != nil { return true }
      if !fits { return nil }
      if step.verb == .lingering {
        if step.count < 16 << 20, available > 0 || step.count == 0 { return nil }
        if !peerFinished { return false }
      }
      return isTCP || outstanding == 0 || peerClosed
    case .background: return parts[hand.part].closers > 1 ? nil : true
    default: return true
    }
  }

  /// Whether the other holder blocks this direction of the same object.
  func isBusy(_ actor: Actor, reading: Bool) -> Bool {
    let neighbour = hands[other(actor)]!
    guard let pending = neighbour.pending, neighbour.part == hands[actor]!.part else { return false }
    switch pending.verb {
    case .receive, .exactly, .line, .peek: return reading
    // Sends proceed in the order in which they began.
    case .send, .some: return !reading && (hands[actor]!.sending.map { $0 > neighbour.sending ?? .max } ?? true)
    default: return false
    }
  }

  /// Whether this is the only open descriptor of the connection.
  func isLast(_ part: Int) -> Bool {
    !parts.indices.contains { $0 != part && !parts[$0].isClosed }
      && !hands.values.contains { $0.kind == .given }
  }

  // MARK: Beginning a step

  /// Records that a step begins.
  ///
  /// - Returns: The bytes to send.
  mutating func begin(_ step: Step) -> [UInt8] {
    let part = hands[step.actor]!.part
    hands[step.actor]!.pending = step
    if step.policy != nil {
      if parts[part].isClosing { parts[part].isCut = true } else { parts[part].closing = step }
      if step.verb == .confirmed || step.verb == .lingering, !parts[part].isClosing, isLast(part), failure == nil {
        weFinished = true
      }
      parts[part].isClosing = true
      parts[part].closers += 1
    }
    guard step.verb == .send || step.verb == .some else { return [] }
    let sent = Sent(start: sends.count * 3001, count: step.count, accepted: nil)
    hands[step.actor]!.sending = sends.count
    sends.append(sent)
    return Pattern.part(from: sent.start, count: sent.count)
  }

  // MARK: The peer's steps

  mutating func peerSends(_ count: Int) {
    if ending != nil { peerSentAfterEnd = true } else { peerSent += count }
  }

  mutating func peerFinishes() { peerFinished = true }

  /// Records that the peer closed or reset.
  ///
  /// - Parameter unread: The number of bytes that the peer had received and not read.
  mutating func peerGoes(byReset: Bool, unread: Int) {
    peerClosed = true
    defer { peerFinished = true }
    if weFinished, peerFinished, isTCP {
      if !fits { isHazy = true }
      return
    }
    let isReset = unread > 0 || byReset && isTCP
    if isReset {
      if !fits, weFinished || peerFinished { isHazy = true }
      failure = failure ?? (isTCP && peerFinished && !weFinished ? .peerClosed : .reset)
    } else if outstanding > 0 {
      // Bytes in flight reach a closed socket, which answers with a reset.
      isHazy = true
    }
  }
}
