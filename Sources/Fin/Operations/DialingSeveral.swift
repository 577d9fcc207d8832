/// Dialing several endpoints, of which the earlier ones are preferred: one race over all their addresses, in order.
extension Core {
  /// Connects to the first of the endpoints that answers, in a thread.
  static func connected(
    toFirstOf endpoints: [Endpoint], _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) throws(SocketError) -> Core {
    var targets = DialTargets()
    for (index, endpoint) in endpoints.enumerated() {
      var share = timeout.share(among: endpoints.count - index)
      do throws(SocketError) {
        let peers = try endpoint.resolved(for: .connect, &share, resolver: options.resolver)
        targets.add(try Dial.usable(peers, of: endpoint, options))
      } catch { try targets.fail(error) }
    }
    var dial = DialInThread(Dial(try targets.get(), options, timeouts, until: timeout.deadline, site, inOrder: true))
    return try dial.run()
  }

  /// Connects to the first of the endpoints that answers, in a task.
  nonisolated(nonsending) static func connected(
    toFirstOf endpoints: [Endpoint], _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) async throws(SocketError) -> Core {
    var targets = DialTargets()
    for (index, endpoint) in endpoints.enumerated() {
      var share = timeout.share(among: endpoints.count - index)
      do throws(SocketError) {
        let peers = try await endpoint.resolved(for: .connect, &share, resolver: options.resolver)
        targets.add(try Dial.usable(peers, of: endpoint, options))
      } catch { try targets.fail(error) }
    }
    var dial = DialInTask(Dial(try targets.get(), options, timeouts, until: timeout.deadline, site, inOrder: true))
    return try await dial.run()
  }
}

/// The addresses of several endpoints, in the order in which they are tried.
private struct DialTargets {
  private var peers: [SocketAddress] = []
  private var failure: SocketError?

  /// Adds the addresses of the next endpoint, with its families in turn.
  mutating func add(_ more: [SocketAddress]) {
    let order = Race.alternating(more.map { Int($0.family.rawValue) })
    for index in order where !peers.contains(more[index]) { peers.append(more[index]) }
  }

  /// Leaves out an endpoint that has no usable address, unless the caller has given up.
  mutating func fail(_ error: SocketError) throws(SocketError) {
    switch error.cause {
    case .cancelled, .reactorStopped: throw error
    default: failure = failure ?? error
    }
  }

  func get() throws(SocketError) -> [SocketAddress] {
    if !peers.isEmpty { return peers }
    throw failure ?? SocketError(.connect, .invalid("there is no endpoint to connect to"))
  }
}

extension LazyDeadline {
  /// The part of the time left that one of several lookups may take; 10 s where there is no limit.
  fileprivate mutating func share(among count: Int) -> LazyDeadline {
    guard let left = deadline.remaining else { return LazyDeadline(.seconds(10)) }
    return LazyDeadline(Timeout(left / count))
  }
}
