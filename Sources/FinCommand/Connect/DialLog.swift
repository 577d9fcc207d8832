import Fin
import FinTerminal
import Synchronization

/// The attempts of a dial that failed, which `--verbose` shows at once.
final class DialLog: Sendable {
  private let list = Mutex<[DialAttempt]>([])
  private let isVerbose: Bool

  init(isVerbose: Bool) { self.isVerbose = isVerbose }

  var failures: [DialAttempt] { list.withLock { $0 } }

  func add(_ failure: DialAttempt) {
    list.withLock { $0.append(failure) }
    if isVerbose { Output.complain("\(failure)") }
  }
}
