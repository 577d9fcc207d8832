import Fin

/// The verdict on an answer, and the consequences for the model.
extension Model {
  /// Compares an answer with the model and updates the model.
  ///
  /// - Returns: A complaint if the answer is wrong.
  mutating func judge(_ actor: Actor, _ step: Step, _ answer: Answer, _ elapsed: Duration) -> String? {
    let sending = hands[actor]!.sending
    hands[actor]!.pending = nil
    hands[actor]!.sending = nil
    if let sending {
      switch answer {
      case .done: sends[sending].accepted = step.count
      case .count(let count): sends[sending].accepted = count
      case .refused(_, let accepted): sends[sending].accepted = accepted
      default: sends[sending].accepted = 0
      }
      if sends[sending].accepted! > step.count { return "more bytes were accepted than were passed" }
    }
    if let late = lateness(step, answer, elapsed) { return late }
    let isClosing = parts[hands[actor]!.part].isClosing
    if step.policy == nil, isClosing { return judgeClosed(step, answer) }
    if case .refused(.closed, _) = answer { return "the socket was not closed" }
    switch step.verb {
    case .receive, .peek, .exactly, .line: return judgeInput(actor, step, answer)
    case .send, .some: return judgeOutput(actor, step, answer, sends[sending!].accepted!)
    case .finish: return judgeFinish(actor, step, answer)
    case .confirmed, .lingering, .background, .abort: return judgeReport(actor, step, answer)
    default: return judgeLook(actor, step, answer)
    }
  }

  private func lateness(_ step: Step, _ answer: Answer, _ elapsed: Duration) -> String? {
    if step.budget != Step.long, step.verb != .background, elapsed > step.within + Stage.slack {
      return "it took \(elapsed)"
    }
    if case .refused(.timedOut, _) = answer, step.verb != .finish, elapsed < step.within - .milliseconds(2) {
      return "it timed out early, after \(elapsed)"
    }
    return nil
  }

  /// Judges a verb after a close has begun: it must fail as closed, and the phase, which cannot fail, must say so.
  private func judgeClosed(_ step: Step, _ answer: Answer) -> String? {
    switch (step.verb, answer) {
    case (.phase, .phase(let phase)): return phase.isClosing ? nil : "the socket was closed"
    case (_, .refused(.closed, _)): return nil
    // The peer had closed or reset before this side closed, and that ended the wait.
    case (_, .refused(.reset, _)), (_, .refused(.peerClosed, _)):
      return failure != nil || isHazy ? nil : "the socket was closed"
    case (.state, .state(nil)) where !isTCP: return nil
    default: return "the socket was closed, so the verb should have been refused"
    }
  }

  // MARK: Bytes in

  private mutating func judgeInput(_ actor: Actor, _ step: Step, _ answer: Answer) -> String? {
    let part = hands[actor]!.part
    if step.verb != .receive { parts[part].mayBuffer = true }
    if case .refused(.busy, _) = answer {
      return isBusy(actor, reading: true) ? nil : "the other holder is not receiving"
    }
    if isBusy(actor, reading: true) {
      if case .refused(.timedOut, _) = answer, step.budget != Step.long { return nil }
      return "the other holder is receiving"
    }
    if case .refused(.cancelled, _) = answer { return nil }
    let whole: Bool
    let line = Pattern.lineLength(from: consumed, within: available)
    switch step.verb {
    case .exactly: whole = available >= step.count
    case .line: whole = line != nil
    default: whole = available > 0
    }
    if whole {
      let bytes: [UInt8]
      switch answer {
      case .bytes(let came): bytes = came
      case .text(let text): bytes = Array(text.utf8)
      case .refused(.timedOut, _) where step.budget != Step.long && step.budget < 20 && step.verb == .exactly:
        // A receive in several parts may time out between them.
        return nil
      default: return "\(available) bytes were available"
      }
      let most = step.verb == .line ? line! : min(step.count, available)
      guard bytes.count <= most, step.verb == .line || !bytes.isEmpty else {
        return "\(most) bytes were requested and available"
      }
      if step.verb == .line || step.verb == .exactly, bytes.count != most { return "\(most) bytes were requested" }
      guard Pattern.same(bytes, Pattern.part(from: consumed, count: bytes.count)) else {
        return "the bytes differ from those sent"
      }
      if step.verb != .peek { consumed += bytes.count + (step.verb == .line ? 1 : 0) }
      return nil
    }
    if failure == .reset, !sawEnd {
      isHeard = true
      if case .refused(.reset, _) = answer { return nil }
      return isHazy ? nil : "the peer had reset"
    }
    if peerFinished, Model.isWrong { return "the deliberately wrong model rejects EOF" }
    if peerFinished {
      sawEnd = true
      if failure != nil, isHeard == false { isHeard = nil }
      if available > 0 {
        if case .refused(.endOfStream(received: available), _) = answer { return nil }
        return "the peer finished after \(available) bytes"
      }
      if case .end = answer { return nil }
      return isHazy ? nil : "the peer had finished"
    }
    if case .refused(.timedOut, _) = answer, step.budget != Step.long { return nil }
    return "nothing had arrived"
  }

  // MARK: Bytes out

  private mutating func judgeOutput(_ actor: Actor, _ step: Step, _ answer: Answer, _ accepted: Int) -> String? {
    if case .refused(.cancelled, _) = answer { return nil }
    if case .refused(.timedOut, _) = answer, isBusy(actor, reading: false) {
      return accepted == 0 ? nil : "bytes were accepted while another send was under way"
    }
    if !isTCP, peerClosed, failure == nil, step.count > 0, !weFinished { failure = .peerClosed }
    if weFinished {
      switch answer {
      case .refused(.finished, _): return nil
      // If our side was finished not through Fin, the kernel does not report it for a Unix socket whose peer has
      // finished too.
      case .refused(.peerClosed, _) where !isTCP && phaseIsOpen && (peerClosed || peerFinished):
        isHeard = nil
        failure = .peerClosed
        // From here on Fin regards the peer as closed, and says so in the report.
        isHazy = true
        return nil
      case .refused(.reset, _) where failure == .reset, .refused(.peerClosed, _) where failure == .peerClosed:
        isHeard = true
        return nil
      case .done where step.count == 0, .count(0) where step.count == 0:
        return phaseIsOpen ? nil : "this side had finished sending"
      default: return isHazy ? nil : "this side had finished sending"
      }
    }
    if let failure {
      switch answer {
      case .done where step.count == 0 && isHeard != true, .count(0) where step.count == 0 && isHeard != true:
        return nil
      case .refused(.reset, _) where failure == .reset, .refused(.peerClosed, _) where failure == .peerClosed:
        isHeard = true
        return accepted == 0 || step.budget == Step.long ? nil : "bytes were accepted after the connection had failed"
      default: return isHazy ? nil : "the connection had failed: \(failure)"
      }
    }
    if accepted > 0, peerClosed {
      // The peer's socket is closed and answers with a reset, which after EOF is reported as EPIPE.
      failure = .peerClosed
      isHeard = nil
    }
    switch answer {
    case .done: return nil
    case .count(let count):
      return count > 0 || step.count == 0 ? nil : "no byte was accepted, and yet it succeeded"
    case .refused(.timedOut, _):
      if step.budget == Step.long { return "it had 30 seconds" }
      return setting.buffers == .small || isHazy ? nil : "there was room for all bytes"
    case .refused(.peerClosed, _) where peerClosed && isTCP && accepted > 0:
      isHeard = true
      return nil
    default: return isHazy ? nil : "no error was expected"
    }
  }

  private mutating func judgeFinish(_ actor: Actor, _ step: Step, _ answer: Answer) -> String? {
    if case .refused(.cancelled, _) = answer { return nil }
    guard case .done = answer else { return "it should have succeeded" }
    weFinished = true
    if failure != nil { isHeard = isHeard == true ? true : nil }
    if hands[actor]!.kind == .owner { hands[actor]!.kind = .receiving }
    return nil
  }

  // MARK: Queries and conversions

  private mutating func judgeLook(_ actor: Actor, _ step: Step, _ answer: Answer) -> String? {
    let part = hands[actor]!.part
    switch (step.verb, answer) {
    case (.option, .count(1)), (.unacked, .count), (.lend, .inode): return nil
    case (.state, .state(let state)):
      guard isTCP else { return state == nil ? nil : "a Unix socket has no TCP state" }
      return state.map { states.contains($0.rawValue) } == true ? nil : "it should be one of \(states.sorted())"
    case (.phase, .phase(let phase)): return judgePhase(phase)
    case (.failure, .failure(let cause)):
      if failure != nil { isHeard = true }
      switch (failure, cause) {
      case (nil, nil), (.reset?, .reset?), (.peerClosed?, .peerClosed?): return nil
      default: return isHazy ? nil : "it should be \(failure.map { "\($0)" } ?? "none")"
      }
    case (.shut, .done):
      weFinished = true
      phaseIsOpen = true
      return nil
    case (.shut, .count): return failure != nil || isHazy || (weFinished && peerFinished) ? nil : "shutdown failed"
    case (.share, .done):
      hands[actor]!.kind = .shared
      return nil
    case (.detach, .given(_, let unread)):
      hands[actor]!.kind = .given
      parts[part].mayBuffer = false
      guard unread.count <= available, Pattern.same(unread, Pattern.part(from: consumed, count: unread.count)) else {
        return "the unread bytes that it returned differ from those received"
      }
      consumed += unread.count
      return nil
    case (.adopt, .done):
      hands[actor]!.kind = .owner
      phaseIsOpen = true
      sawEnd = false
      parts[part].isClosing = false
      if isTCP, failure != nil || (weFinished && peerFinished) {
        return fits ? "the connection had ended" : nil
      }
      // A Unix socket reports its error only once.
      if failure != nil { isHazy = true }
      return nil
    case (.adopt, .refused(.system, _)) where isTCP && (failure != nil || (weFinished && peerFinished) || isHazy):
      return nil
    case (.duplicate, .opened):
      wasDuplicated = true
      phaseIsOpen = true
      parts.append(Part())
      hands[other(actor)] = Hand(kind: .owner, part: parts.count - 1)
      return nil
    default: return "this answer is not expected"
    }
  }

  private func judgePhase(_ phase: Phase) -> String? {
    if phaseIsOpen || isHazy { return phase.isClosing ? "the socket is not closed" : nil }
    let base: Phase =
      switch (weFinished, sawEnd) {
      case (false, false): .connected
      case (true, false): .sendFinished
      case (false, true): .peerFinished
      case (true, true): .bothFinished
      }
    var right: Set<Phase> = [base]
    if failure != nil, isHeard != false { right.insert(.failed) }
    if failure != nil, isHeard == true { right = [.failed] }
    return right.contains(phase) ? nil : "it should be \(right)"
  }
}
