import Fin

/// Judges the report of a close, and the bytes and the end that the peer reads.
extension Model {
  mutating func judgeReport(_ actor: Actor, _ step: Step, _ answer: Answer) -> String? {
    let part = hands[actor]!.part
    let wasShared = hands[actor]!.kind == .shared
    parts[part].closers -= 1
    guard case .report(let report) = answer else { return "a close must return a report" }
    if !wasShared { hands[actor]!.kind = .nothing }
    if let first = parts[part].report {
      return first == report ? nil : "the first close reported \(first)"
    }
    let isOnly = isLast(part)
    parts[part].isClosed = true
    parts[part].report = report
    if report.bytesNeverSent > report.bytesUnacknowledged { return "more bytes are never sent than unacknowledged" }
    if report.duration < .zero { return "its duration is negative" }
    guard isOnly else {
      return report.ending == .shared || isHazy ? nil : "another descriptor still refers to the connection"
    }
    ending = report.ending
    let first = parts[part].closing ?? step
    lastPolicy = first.verb
    if isHazy { return nil }
    if isTCP, report.bytesUnacknowledged > mostSent { return "more bytes are unacknowledged than were sent" }
    if !wasDuplicated, report.bytesDiscarded != available { return "\(available) bytes were left to discard" }
    let right = endings(first, report, isCut: parts[part].isCut)
    return right.contains(Name(report.ending)) ? nil : "it should be one of \(right)"
  }

  enum Name: Hashable {
    case peerFinished, truncated, acknowledged, discardedByPeer, reset, timedOut, aborted, background, shared, detached
    init(_ ending: Ending) {
      switch ending {
      case .peerFinished: self = .peerFinished
      case .truncated: self = .truncated
      case .acknowledged: self = .acknowledged
      case .discardedByPeer: self = .discardedByPeer
      case .reset: self = .reset
      case .timedOut: self = .timedOut
      case .aborted: self = .aborted
      case .background: self = .background
      case .shared: self = .shared
      case .detached: self = .detached
      }
    }
  }

  private func endings(_ step: Step, _ report: CloseReport, isCut: Bool) -> Set<Name> {
    if let failure {
      if failure == .peerClosed, !isTCP { return [.discardedByPeer, .peerFinished] }
      if mostSent == 0 { return [.reset] }
      return isTCP && report.bytesUnacknowledged > 0 ? [.reset] : [.discardedByPeer]
    }
    var right: Set<Name>
    switch step.verb {
    case .abort: return [.aborted]
    case .background: return [.background]
    default: right = [peerFinished ? .peerFinished : .acknowledged]
    }
    let isStuck = isTCP ? !fits : outstanding > 0 && !peerClosed
    if isStuck { right = isTCP ? right.union([.timedOut]) : [.timedOut] }
    if isCut { right.formUnion([.aborted, .timedOut]) }
    if step.budget != Step.long, step.budget < 300 { right.insert(.timedOut) }
    if step.verb == .lingering, step.count < 16 << 20 {
      right.formUnion([.acknowledged])
      if step.count <= available { right.insert(.timedOut) }
    }
    return right
  }

  // MARK: The peer's reads

  /// Whether the peer's next read must return a byte, EOF or an error.
  var peerMustHear: Bool {
    if isHazy || peerSawError { return false }
    if fits, surelySent > peerRead { return true }
    guard outstanding == 0 else { return false }
    return weFinished || ending != nil
  }

  mutating func peerReads(_ most: Int, _ moved: Kernel.Moved, arrived: Bool) -> String? {
    switch moved {
    case .count: return nil
    case .bytes(let bytes) where !bytes.isEmpty:
      guard bytes.count <= mostSent - peerRead else {
        return "the peer read \(bytes.count) bytes, more than were accepted"
      }
      guard Pattern.same(bytes, expected(from: peerRead, count: bytes.count)) else {
        return "the peer read other bytes than were accepted"
      }
      peerRead += bytes.count
      return nil
    case .bytes:
      if peerSawError || isHazy { return nil }
      guard weFinished || ending != nil else { return "the peer read EOF from an open connection" }
      guard peerRead == mostSent else { return "the peer read EOF after \(peerRead) of \(mostSent) bytes" }
      if isTCP, ending == .aborted, !weFinished { return "the peer read EOF after an abort" }
      return nil
    // EAGAIN
    case .error(11): return peerMustHear && arrived ? "the peer got EAGAIN, but bytes or EOF are due" : nil
    case .error(let code):
      peerSawError = true
      if isHazy || mayReset { return nil }
      return "the peer got error \(code), but nothing was aborted"
    }
  }

  private var mayReset: Bool {
    guard let ending else { return false }
    switch ending {
    case .aborted, .timedOut, .reset, .discardedByPeer: return true
    // A close with a discard limit may leave unread bytes, for which close(2) sends a reset.
    case .acknowledged, .peerFinished, .truncated, .background, .shared, .detached:
      return peerSentAfterEnd || lastPolicy == .lingering
    }
  }
}
