internal import CFin
internal import Glibc
internal import SystemPackage

/// Dialing a name with several addresses. A ``Race`` decides which address is tried when; a ``DialInThread`` or a
/// ``DialInTask`` makes the attempts. A single address is connected to without a race.
extension Core {
  /// Connects to an endpoint, in a thread. The resolution and all attempts share one deadline.
  static func connected(
    to endpoint: Endpoint, _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) throws(SocketError) -> Core {
    let peers = try Dial.usable(
      try endpoint.resolved(for: .connect, &timeout, resolver: options.resolver), of: endpoint, options)
    if peers.count == 1 { return try connected(to: peers[0], options, timeouts, &timeout, site: site) }
    var dial = DialInThread(Dial(peers, options, timeouts, until: timeout.deadline, site))
    return try dial.run()
  }

  /// Connects to an endpoint, in a task. The resolution and all attempts share one deadline.
  nonisolated(nonsending) static func connected(
    to endpoint: Endpoint, _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) async throws(SocketError) -> Core {
    let peers = try Dial.usable(
      try await endpoint.resolved(for: .connect, &timeout, resolver: options.resolver), of: endpoint, options)
    if peers.count == 1 { return try await connected(to: peers[0], options, timeouts, &timeout, site: site) }
    var dial = DialInTask(Dial(peers, options, timeouts, until: timeout.deadline, site))
    return try await dial.run()
  }
}

/// The common part of both ways of dialing: the addresses, the limits, and the record of the attempts that failed.
struct Dial: Sendable {
  let peers: [SocketAddress]
  let options: DialOptions
  let timeouts: Timeouts
  let deadline: Deadline
  let site: Ledger.Site
  private var failures: [DialAttempt] = []
  /// Why the race was given up; `nil` when every attempt has failed.
  private var end: SocketError.Cause?
  private var starts: [Int: Instant] = [:]
  private let isOrdered: Bool

  /// - Parameter inOrder: whether the addresses are tried in this order, whatever their families.
  init(
    _ peers: [SocketAddress], _ options: DialOptions, _ timeouts: Timeouts, until deadline: Deadline,
    _ site: Ledger.Site, inOrder: Bool = false
  ) {
    self.peers = peers
    isOrdered = inOrder
    self.options = options
    self.timeouts = timeouts
    self.deadline = deadline
    self.site = site
  }

  /// The addresses that can be reached from the source.
  static func usable(
    _ peers: [SocketAddress], of endpoint: Endpoint, _ options: DialOptions
  ) throws(SocketError) -> [SocketAddress] {
    guard let source = options.source, peers.count > 1 else { return peers }
    let usable = peers.filter { $0.family == source.family }
    guard usable.isEmpty else { return usable }
    throw SocketError(
      .connect, .invalid("\(endpoint) has no \(source.family) address, and the source \(source) can reach no other"))
  }

  /// The first event of the race.
  var beginning: Race.Event { .addresses(peers.map { isOrdered ? 0 : Int($0.family.rawValue) }) }

  /// The time at which a timer that is armed now fires. RFC 8305 forbids a pause below 10 ms.
  var nextTick: Deadline { Deadline(after: max(.milliseconds(10), options.attemptDelay)) }

  /// Records the start of an attempt.
  mutating func began(_ attempt: Int) { starts[attempt] = .now }

  /// Records the end of an attempt that failed.
  mutating func failed(_ attempt: Int, _ cause: SocketError.Cause) {
    let duration = starts.removeValue(forKey: attempt)?.elapsed ?? .zero
    let failure = DialAttempt(address: peers[attempt], cause: cause, duration: duration)
    failures.append(failure)
    options.onFailure?(failure)
  }

  /// Records the reason why the race is given up, which is also the cause of each attempt that still runs.
  mutating func giveUp(_ cause: SocketError.Cause, running: [Int]) {
    end = cause
    for attempt in running { failed(attempt, cause) }
  }

  /// The error of a race that was lost. Its cause is the reason for which the race was given up, or else that of the
  /// last attempt.
  var error: SocketError {
    let untried = peers.count - failures.count
    var text = "\(failures.count) of \(peers.count) addresses were tried: "
    if untried == 0 { text = "\(peers.count) addresses were tried: " }
    text += failures.map(\.description).joined(separator: "; ")
    let cause = end ?? failures.last?.cause ?? .timedOut
    return SocketError(
      .connect, cause, .stream, peer: failures.last { $0.cause == cause }?.address, note: text, attempts: failures)
  }
}
