#if Metrics
public import CoreMetrics
internal import Metrics
internal import Synchronization

/// The counts of a ledger, for a metrics backend. Call ``update()`` as often as the backend is to receive them.
///
/// `fin_sockets_open` is a gauge; `fin_sockets_opened`, `fin_sockets_closed`, `fin_sockets_leaked` and
/// `fin_sockets_detached` are counters.
public final class LedgerMetrics: Sendable {
  private let ledger: Ledger
  private let gauge: Gauge
  private let opened: Counter
  private let closed: Counter
  private let leaked: Counter
  private let detached: Counter
  private let told = Mutex(Ledger.Counts())

  /// Makes the metrics of a ledger.
  ///
  /// - Parameters:
  ///   - ledger: the ledger; by default the current one.
  ///   - factory: the backend; by default the one that the program bootstrapped.
  public init(of ledger: Ledger = .current, factory: any MetricsFactory = MetricsSystem.factory) {
    self.ledger = ledger
    gauge = Gauge(label: "fin_sockets_open", dimensions: [], factory: factory)
    opened = Counter(label: "fin_sockets_opened", dimensions: [], factory: factory)
    closed = Counter(label: "fin_sockets_closed", dimensions: [], factory: factory)
    leaked = Counter(label: "fin_sockets_leaked", dimensions: [], factory: factory)
    detached = Counter(label: "fin_sockets_detached", dimensions: [], factory: factory)
  }

  /// Records the number of open sockets, and adds the changes since the previous call to the counters.
  public func update() {
    let (now, before) = told.withLock { told in
      let before = told
      told = ledger.counts
      return (told, before)
    }
    gauge.record(now.open)
    opened.increment(by: now.opened - before.opened)
    closed.increment(by: now.closed - before.closed)
    leaked.increment(by: now.leaked - before.leaked)
    detached.increment(by: now.detached - before.detached)
  }
}
#endif
