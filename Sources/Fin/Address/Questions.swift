internal import FinBase
import Synchronization

/// The questions to resolvers that are not answered yet, and their threads.
///
/// A resolver cannot be interrupted, and may take as long as every name server in /etc/resolv.conf does. So each
/// question has a detached thread of its own: a caller may stop waiting at any moment, and the question goes on.
/// Callers with equal questions wait for the same thread. The number of threads is limited, and so is the number of
/// threads for one name, so that a name whose servers are dead leaves room for all others.
final class Questions: Sendable {
  typealias Answer = Result<[SocketAddress], ResolveError>

  /// The questions that name servers answer.
  static let shared = Questions(limit: 256, perName: 4)
  /// The questions that files of this machine answer. They never wait behind a dead name server.
  static let local = Questions(limit: 64, perName: 64)

  fileprivate struct Key: Hashable {
    let resolver: ObjectIdentifier
    let question: NameQuestion
  }

  /// A caller that waits for an answer.
  struct Caller: Sendable {
    fileprivate let key: Key
    fileprivate let number: UInt64
  }

  private struct State {
    var callers: [Key: [UInt64: @Sendable (Answer) -> Void]] = [:]
    var threads: [String: Int] = [:]
    var last: UInt64 = 0
  }

  private let limit: Int
  private let perName: Int
  private let state = Mutex(State())

  init(limit: Int, perName: Int) {
    self.limit = limit
    self.perName = perName
  }

  /// The number of questions that are not answered yet.
  var count: Int { state.withLock { $0.callers.count } }

  /// The number of callers that wait for an answer.
  var callerCount: Int { state.withLock { $0.callers.values.reduce(0) { $0 + $1.count } } }

  /// Asks a question, or waits for the answer to an equal one that is being asked. Returns at once.
  ///
  /// - Parameter deliver: receives the answer exactly once, on the question's thread; it must not block.
  /// - Throws: `.tooManyLookups`, `.tooManyLookupsOfName`; then `deliver` is never called.
  func ask(
    _ question: NameQuestion, _ resolver: any Resolver, then deliver: @escaping @Sendable (Answer) -> Void
  ) throws(ResolveError) -> Caller {
    let key = Key(resolver: ObjectIdentifier(resolver), question: question)
    let (caller, isNew): (Caller, Bool) = try state.withLock { state throws(ResolveError) in
      let isNew = state.callers[key] == nil
      if isNew {
        guard state.callers.count < limit else { throw .tooManyLookups(limit: limit) }
        guard state.threads[question.name, default: 0] < perName else {
          throw .tooManyLookupsOfName(name: question.subject, limit: perName)
        }
        state.threads[question.name, default: 0] += 1
      }
      state.last &+= 1
      state.callers[key, default: [:]][state.last] = deliver
      return (Caller(key: key, number: state.last), isNew)
    }
    guard isNew else { return caller }
    // The C library's modules keep whole packets on the stack; this is eight times as much as they use.
    let code = DetachedThread.start(stack: 512 << 10) { [self] in
      do throws(ResolveError) { finish(key, .success(try resolver.addresses(for: question))) } catch {
        finish(key, .failure(error))
      }
    }
    if code != 0 { finish(key, .failure(.noThread(code: code))) }
    return caller
  }

  /// Forgets a caller, which will not get its answer.
  func leave(_ caller: Caller) {
    state.withLock { _ = $0.callers[caller.key]?.removeValue(forKey: caller.number) }
  }

  private func finish(_ key: Key, _ answer: Answer) {
    // The thread counts no more before the delivery: a caller that receives the answer may ask again at once.
    let callers = state.withLock { state in
      let name = key.question.name
      let rest = state.threads[name, default: 1] - 1
      state.threads[name] = rest > 0 ? rest : nil
      return state.callers.removeValue(forKey: key)
    }
    for deliver in (callers ?? [:]).values { deliver(answer) }
  }
}
