/// The connections that ended since the last look, as the kernel reports them: also those that no look saw.
///
/// The kernel reports the TCP sockets of the recorder's own network namespace.
package final class EndedSockets {
  /// One connection that ended.
  package struct One: Hashable, Sendable {
    package var identity: UInt64
    package var isIPv6 = false
    package var local = AddressBits()
    package var localPort: UInt16 = 0
    package var remote = AddressBits()
    package var remotePort: UInt16 = 0

    package init(_ identity: UInt64) { self.identity = identity }
  }

  /// The most that are kept between two looks; those beyond are lost.
  static let most = 200_000

  private let reports: DestroyedSockets
  private var ended: [One] = []
  private var losses = 0
  private var isOverfull = false

  /// Begins to listen; nil where the kernel refuses.
  package init?() {
    guard let reports = DestroyedSockets() else { return nil }
    self.reports = reports
  }

  /// Takes what the kernel has reported, so that it has room for more.
  package func hear() {
    reports.forEach { socket in
      guard socket.remotePort != 0, socket.identity != 0 else { return }
      guard ended.count < Self.most else {
        isOverfull = true
        return
      }
      var one = One(socket.identity)
      one.isIPv6 = socket.isIPv6
      (one.local, one.localPort) = (socket.localBits, socket.localPort)
      (one.remote, one.remotePort) = (socket.remoteBits, socket.remotePort)
      ended.append(one)
    }
  }

  /// The connections that ended since the last call, and whether there were more.
  func take() -> (ended: [One], isIncomplete: Bool) {
    hear()
    let lost = reports.lossCount
    defer { (ended, losses, isOverfull) = ([], lost, false) }
    return (ended, lost > losses || isOverfull)
  }
}

/// The connections that began and ended between two looks, counted by port and destination.
struct ShortLives {
  /// The port of a listener, or a destination.
  struct Place: Hashable {
    /// The local port, of connections that were accepted; 0 where connect chose it.
    var localPort: UInt16
    /// The remote end of connections whose local port connect chose; nil for accepted ones.
    var remote: NetworkAddress?
    var remotePort: UInt16
    var owner: Observed.Owner?
  }

  struct Count: Hashable {
    var all = 0
    /// Those of them that rest in TIME-WAIT: this side closed first.
    var resting = 0
  }

  /// The most places of one look: those with the most connections.
  static let most = RestingPlaces.most

  /// The two ends of a connection.
  private struct Ends: Hashable {
    var local: Finding.Endpoint
    var remote: Finding.Endpoint

    init(_ socket: InetSocket) { (local, remote) = (socket.localEndpoint, socket.remoteEndpoint) }

    init(_ one: EndedSockets.One) {
      local = Finding.Endpoint(address: one.local.unmapped, port: one.localPort)
      remote = Finding.Endpoint(address: one.remote.unmapped, port: one.remotePort)
    }
  }

  private(set) var places: [(place: Place, count: Count)] = []
  private(set) var total = Count()

  /// Counts the connections that no look saw.
  /// - Parameters:
  ///   - ended: Those that ended since the look before.
  ///   - index: The look.
  ///   - before: The intervals, before they took this look.
  init(_ ended: [EndedSockets.One], _ index: CensusIndex, before: Spans) {
    var counts: [Place: Count] = [:]
    // A socket gets its number when someone asks for it: one that only ended has another one than its TIME-WAIT.
    let resting = Set(index.resting.lazy.filter { index.sockets[$0].namespace == 0 }.map { Ends(index.sockets[$0]) })
    let limits = index.census.namespaces.first?.limits ?? KernelLimits()
    for one in ended where !before.saw(one.identity) {
      let isAccepted = index.isListening(0, one.local, one.localPort) || !limits.isEphemeral(one.localPort)
      let place = Place(
        localPort: isAccepted ? one.localPort : 0,
        remote: isAccepted ? nil : NetworkAddress(one.remote, isIPv6: one.isIPv6),
        remotePort: isAccepted ? 0 : one.remotePort,
        owner: isAccepted ? index.listenerOwner(at: one.localPort, of: one.local, in: 0) : nil)
      let rests = resting.contains(Ends(one))
      counts[place, default: Count()].add(1, rests)
      total.add(1, rests)
    }
    let sorted = counts.sorted { left, right in
      (right.value.all, left.key.order) < (left.value.all, right.key.order)
    }
    places = sorted.prefix(Self.most).map { ($0.key, $0.value) }
  }
}

extension ShortLives.Count {
  fileprivate mutating func add(_ count: Int, _ rests: Bool) {
    all += count
    if rests { resting += count }
  }
}

extension ShortLives.Place {
  fileprivate var order: String { "\(localPort) \(remote.map { "\($0)" } ?? "") \(remotePort)" }
}
