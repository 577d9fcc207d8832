import Fin
import Glibc

/// The model of one connection, from RFC 9293 and from the promises in Fin's documentation: a state machine that makes
/// no call. It takes each step and each answer, and objects.
struct Model {
  enum Kind { case nothing, owner, receiving, shared, given }

  /// One of Fin's objects for our end. There are two when a descriptor was duplicated.
  struct Part {
    var isClosing = false
    var isClosed = false
    var report: CloseReport?
    var mayBuffer = false
    /// Closes that have begun and not returned.
    var closers = 0
    /// The first of them, whose policy holds.
    var closing: Step?
    /// Something may have cut its close short: an abort, a cancellation, a later close with less time.
    var isCut = false
  }

  struct Hand {
    var kind = Kind.nothing
    var part = 0
    /// A step that has begun and not ended.
    var pending: Step?
    /// Which of `sends` it is.
    var sending: Int?
  }

  /// One send, and how much of it was handed over; `nil` while it waits.
  struct Sent {
    let start: Int
    let count: Int
    var accepted: Int?
  }

  enum Failure { case reset, peerClosed }

  /// Set where this test itself is tested.
  static let isWrong = unsafe getenv("FIN_WRONG_MODEL") != nil

  let setting: Setting
  var parts = [Part()]
  var hands: [Actor: Hand] = [.a: Hand(kind: .owner), .b: Hand()]
  var wasDuplicated = false
  /// Adopted, or half-closed by other means: what Fin calls it is not foretold.
  var phaseIsOpen = false

  // Ours to the peer.
  var sends: [Sent] = []
  var peerRead = 0
  var weFinished = false
  // The peer's to us.
  var peerSent = 0
  var consumed = 0
  var peerFinished = false
  var peerClosed = false
  var peerSawError = false
  var peerSentAfterEnd = false

  /// The error that ended the connection, in the kernel's eyes.
  var failure: Failure?
  /// True when Fin has heard of it; `nil` when that is not known.
  var isHeard: Bool? = false
  var sawEnd = false
  /// How our end was closed, the last of it.
  var ending: Ending?
  var lastPolicy: Verb?
  /// Bytes were on their way when the peer went: what became of them is not foretold.
  var isHazy = false

  init(_ setting: Setting) { self.setting = setting }

  var isTCP: Bool { setting.isTCP }
  var mostSent: Int { sends.reduce(0) { $0 + ($1.accepted ?? $1.count) } }
  var surelySent: Int { sends.reduce(0) { $0 + ($1.accepted ?? 0) } }
  var available: Int { peerSent - consumed }
  /// Accepted and not read by the peer's program.
  var outstanding: Int { max(0, mostSent - peerRead) }
  /// True when the peer's kernel has room for all that was accepted.
  var fits: Bool { !isHazy && outstanding <= (setting.buffers == .small ? 600 : 40_000) }
  var isOpen: Bool { hands.values.contains { $0.kind != .nothing && !($0.kind != .given && parts[$0.part].isClosed) } }

  func other(_ actor: Actor) -> Actor { actor == .a ? .b : .a }

  /// The bytes that the peer must read from here on.
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

  /// `tcpi_state`, as Linux counts: what it may be once all is through.
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

  // MARK: May a step be taken

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
    // With both given away Fin knows the connection no more, and one that comes back is alone to it.
    case .detach: return hand.kind == .owner && neighbour.kind != .given
    case .duplicate: return hand.kind == .owner && neighbour.kind == .nothing && !parts[hand.part].mayBuffer
    case .finish: return hand.kind == .owner || hand.kind == .shared
    case .shut: return (hand.kind == .owner || hand.kind == .shared) && neighbour.pending == nil
    case .send, .some:
      guard hand.kind == .owner || hand.kind == .shared else { return false }
      isTalk = true
    case .receive: isTalk = true
    // Bytes that one buffers are not seen by the other.
    case .exactly, .line, .peek:
      if wasDuplicated { return false }
      isTalk = true
    case .confirmed, .lingering, .background, .abort, .option, .unacked, .state, .phase, .lend, .failure: isTalk = false
    }
    if hand.kind == .nothing || hand.kind == .given { return false }
    return !(isTalk && wasDuplicated && neighbour.pending != nil)
  }

  // MARK: Must it end

  /// True when a step that has begun must end now, false when it must not; `nil` when either may be.
  func mustEnd(_ actor: Actor, _ step: Step) -> Bool? {
    let hand = hands[actor]!
    let part = parts[hand.part]
    if step.policy == nil, part.isClosing { return true }
    // A close in the background has no time of its own: it waits for the close that is under way.
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

  /// True when the other holder is in its way on the same object.
  func isBusy(_ actor: Actor, reading: Bool) -> Bool {
    let neighbour = hands[other(actor)]!
    guard let pending = neighbour.pending, neighbour.part == hands[actor]!.part else { return false }
    switch pending.verb {
    case .receive, .exactly, .line, .peek: return reading
    // The first to come goes first.
    case .send, .some: return !reading && (hands[actor]!.sending.map { $0 > neighbour.sending ?? .max } ?? true)
    default: return false
    }
  }

  /// True when no other descriptor of Fin's shares the connection.
  func isLast(_ part: Int) -> Bool {
    !parts.indices.contains { $0 != part && !parts[$0].isClosed }
      && !hands.values.contains { $0.kind == .given }
  }

  // MARK: A step begins

  /// - Returns: the bytes that it sends.
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

  /// - Parameter unread: bytes that the peer had received and not read.
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
      // Bytes on their way meet no socket, and a reset comes back.
      isHazy = true
    }
  }
}
