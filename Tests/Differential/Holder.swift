import Fin
import Glibc
import Synchronization
import SystemPackage

/// One of the two holders of our side of the connection. It performs one step at a time, in a thread or in a task.
final class Holder: Sendable {
  let world: Setting.World
  private let executor: any TaskExecutor
  private let held = Mutex<Held?>(nil)
  /// The descriptor number of the object it holds, recorded when it received the object; -1 for none.
  let number = Mutex<CInt>(-1)

  init(_ world: Setting.World, executor: any TaskExecutor) {
    self.world = world
    self.executor = executor
  }

  func put(_ new: consuming Held) {
    var parcel = Optional(new)
    held.withLock { $0 = parcel.take() }
  }

  func take() -> Held { held.withLock { $0.take() } ?? .nothing }

  /// A second reference to a shared connection, for the other holder.
  func sharedCopy() -> SharedConnection? {
    held.withLock { held in
      switch held {
      case .shared(let shared)?: shared
      default: nil
      }
    }
  }

  /// Starts a step; `bytes` are the bytes to send.
  func start(_ step: Step, _ bytes: [UInt8]) -> Running {
    let running = Running()
    switch world {
    case .thread:
      running.thread { self.perform(step, bytes) }
    case .loop, .away:
      running.task(on: executor) { await self.perform(step, bytes) }
    }
    return running
  }

  // MARK: In a thread

  private func perform(_ step: Step, _ bytes: [UInt8]) -> Answer {
    var held = take()
    let answer: Answer
    do throws(SocketError) {
      switch held {
      case .owner(let it): answer = try Talk.all(it, step, bytes)
      case .receiving(let it): answer = try Talk.input(it, step)
      case .shared(let it): answer = step.verb == .finish ? try Talk.finish(it) : try Talk.all(it, step, bytes)
      case .nothing: answer = .done
      case .given: answer = .done
      }
    } catch {
      put(held)
      return Answer(error)
    }
    if let policy = step.policy {
      switch consume held {
      case .owner(let it):
        held = .nothing
        return .report(policy == .abort ? it.abort() : it.close(policy))
      case .receiving(let it):
        held = .nothing
        return .report(policy == .abort ? it.abort() : it.close(policy))
      case .shared(let it):
        put(.shared(it))
        return .report(policy == .abort ? it.abort() : it.close(policy))
      case .nothing: return .done
      case .given(let it):
        put(.given(it))
        return .done
      }
    }
    return turn(held, step) ?? answer
  }

  // MARK: In a task

  private func perform(_ step: Step, _ bytes: [UInt8]) async -> Answer {
    let held = take()
    let answer: Answer
    do throws(SocketError) {
      switch held {
      case .owner(let it): answer = try await Talk.all(it, step, bytes)
      case .receiving(let it): answer = try await Talk.input(it, step)
      case .shared(let it):
        answer = step.verb == .finish ? try await Talk.finish(it) : try await Talk.all(it, step, bytes)
      case .nothing: answer = .done
      case .given: answer = .done
      }
    } catch {
      put(held)
      return Answer(error)
    }
    if let policy = step.policy {
      switch consume held {
      case .owner(let it): return .report(policy == .abort ? it.abort() : await it.close(policy))
      case .receiving(let it): return .report(policy == .abort ? it.abort() : await it.close(policy))
      case .shared(let it):
        put(.shared(it))
        return .report(policy == .abort ? await it.abort() : await it.close(policy))
      case .nothing: return .done
      case .given(let it):
        put(.given(it))
        return .done
      }
    }
    return turn(held, step) ?? answer
  }

  // MARK: Conversions

  /// Converts the held object, as `finish`, `share`, `detach` and `adopt` do.
  ///
  /// - Returns: `nil` if the step converts nothing; then the holder keeps the object.
  private func turn(_ held: consuming Held, _ step: Step) -> Answer? {
    switch (consume held) {
    case .owner(let it):
      switch step.verb {
      case .finish: put(.receiving(it.finishSending()))
      case .share: put(.shared(it.share()))
      case .detach:
        do throws(SocketError) {
          let detached = try it.detach()
          put(.given(detached.descriptor))
          return .given(detached.descriptor.rawValue, detached.unread)
        } catch { return Answer(error) }
      default:
        put(.owner(it))
        return nil
      }
      return .done
    case .given(let descriptor):
      guard step.verb == .adopt else {
        put(.given(descriptor))
        return nil
      }
      do throws(SocketError) {
        put(.owner(try Connection.adopt(descriptor)))
        return .done
      } catch {
        put(.given(descriptor))
        return Answer(error)
      }
    case .receiving(let it): put(.receiving(it))
    case .shared(let it): put(.shared(it))
    case .nothing: break
    }
    return nil
  }

  /// Duplicates the connection that this holder owns, and gives the duplicate to the other holder.
  func duplicate(into other: Holder) -> Answer {
    let held = take()
    let answer: Answer
    switch held {
    case .owner(let it):
      do throws(SocketError) {
        let second = try it.duplicate()
        let number = (try? second.withDescriptor { $0.rawValue }) ?? -1
        other.put(.owner(second))
        other.number.withLock { $0 = number }
        answer = .opened(number)
      } catch { answer = Answer(error) }
    default: answer = .done
    }
    put(held)
    return answer
  }
}

extension Step {
  /// The close policy of a step; `nil` if it is not a close.
  var policy: ClosePolicy? {
    switch verb {
    case .confirmed: .confirmed(within: within)
    case .lingering:
      .lingering(
        within: within, idle: budget == Step.long ? within : .milliseconds(max(1, budget / 4)), discarding: count)
    case .background: .background
    case .abort: .abort
    default: nil
    }
  }
}

/// The verbs that do not change which object is held.
enum Talk {
  // MARK: In a thread

  static func all<C: Sending & Receiving & StreamSocketProtocol & ~Copyable>(
    _ it: borrowing C, _ step: Step, _ bytes: [UInt8]
  ) throws(SocketError) -> Answer {
    switch step.verb {
    case .send:
      try it.send(bytes, within: Timeout(step.within))
      return .done
    case .some: return .count(try it.sendSome(unsafe bytes.span.bytes, within: Timeout(step.within)))
    default: return try input(it, step)
    }
  }

  static func finish(_ it: SharedConnection) throws(SocketError) -> Answer {
    try it.finishSending()
    return .done
  }

  static func input<C: Receiving & StreamSocketProtocol & ~Copyable>(_ it: borrowing C, _ step: Step)
    throws(SocketError) -> Answer
  {
    switch step.verb {
    case .receive: return Answer(try it.receive(upTo: step.count, within: Timeout(step.within)))
    case .exactly: return Answer(try it.receive(exactly: step.count, within: Timeout(step.within)))
    case .peek: return Answer(try it.peek(upTo: step.count, within: Timeout(step.within)))
    case .line: return (try it.receiveLine(within: Timeout(step.within))).map { .text($0) } ?? .end
    default: return try look(it, step)
    }
  }

  // MARK: In a task

  static func all<C: Sending & Receiving & StreamSocketProtocol & ~Copyable>(
    _ it: borrowing C, _ step: Step, _ bytes: [UInt8]
  ) async throws(SocketError) -> Answer {
    switch step.verb {
    case .send:
      try await it.send(bytes, within: Timeout(step.within))
      return .done
    case .some: return .count(try await it.sendSome(unsafe bytes.span.bytes, within: Timeout(step.within)))
    default: return try await input(it, step)
    }
  }

  static func finish(_ it: SharedConnection) async throws(SocketError) -> Answer {
    try await it.finishSending()
    return .done
  }

  static func input<C: Receiving & StreamSocketProtocol & ~Copyable>(
    _ it: borrowing C, _ step: Step
  ) async throws(SocketError) -> Answer {
    switch step.verb {
    case .receive: return Answer(try await it.receive(upTo: step.count, within: Timeout(step.within)))
    case .exactly: return Answer(try await it.receive(exactly: step.count, within: Timeout(step.within)))
    case .peek: return Answer(try await it.peek(upTo: step.count, within: Timeout(step.within)))
    case .line: return (try await it.receiveLine(within: Timeout(step.within))).map { .text($0) } ?? .end
    default: return try look(it, step)
    }
  }

  // MARK: Without waiting

  private static func look<C: StreamSocketProtocol & ~Copyable>(_ it: borrowing C, _ step: Step) throws(SocketError)
    -> Answer
  {
    switch step.verb {
    case .option:
      let old = try it.option(.keepAlive)
      return .count(try it.set(.keepAlive, to: !old) == !old ? 1 : 0)
    case .unacked: return .count(try it.bytesUnacknowledged())
    case .state: return .state(try it.tcpState())
    case .phase: return .phase(it.phase)
    case .failure: return .failure(try it.failure())
    case .lend: return .inode(try it.withDescriptor { Kernel.inode($0.rawValue) })
    case .shut:
      return try it.withDescriptor { shutdown($0.rawValue, CInt(SHUT_WR)) } == 0 ? .done : .count(-1)
    default: return .done
    }
  }
}

extension Answer {
  fileprivate init(_ bytes: [UInt8]?) { self = bytes.map { .bytes($0) } ?? .end }
}
