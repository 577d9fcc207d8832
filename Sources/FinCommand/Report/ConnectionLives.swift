import FinDoctor

/// The connections that began and ended while looks were taken, by program and port, and how long they lasted.
///
/// A connection ends when it is in TIME-WAIT or gone: then no program has anything to do with it. Between two looks, a
/// connection may begin and end; it is counted if its TIME-WAIT is on this machine.
struct ConnectionLives: Sendable {
  /// The connections of one program that have a port in common.
  struct Group: Hashable, Sendable {
    /// The program; nil where no process could be seen.
    var process: ReportPeriod.Process?
    /// The port at which the program listens, or that it connects to.
    var port: UInt16
    var isServer: Bool
  }

  struct Lives: Sendable {
    var began = 0
    var ended = 0
    /// The bounds of the times that connections lasted, of those that began and ended.
    fileprivate var least: [UInt32] = []
    fileprivate var most: [UInt32] = []

    /// The number of connections whose time is known.
    var known: Int { least.count }

    /// The time that this part of the connections did not exceed: 0 is the shortest, 1 the longest. The true time of
    /// that place lies between the bounds of that place; nil without any.
    func time(at part: Double) -> AgeBounds? {
      if least.isEmpty { return nil }
      let place = Int((Double(least.count - 1) * part).rounded())
      return AgeBounds(atLeast: UInt64(least.sorted()[place]), atMost: UInt64(most.sorted()[place]))
    }
  }

  private struct Life {
    var group: Group
    /// The moments of the look before the first one that saw it, and of that one; nil if it was there from the start.
    var notSeen: Int64?
    var seen: Int64
  }

  /// The ports at which a program listens, and the programs that could be seen.
  private struct Listeners {
    var ports: Set<UInt16> = []
    var owners: [UInt16: ReportPeriod.Process] = [:]
  }

  /// The most times that are kept of a group; connections beyond are counted only.
  static let mostTimes = 10_000
  /// The most groups.
  static let mostGroups = 2000

  private(set) var groups: [Group: Lives] = [:]
  /// Connections that began beyond ``mostGroups``.
  private(set) var leftOut = 0
  private var open: [UInt64: Life] = [:]
  private var over: Set<UInt64> = []
  private var latest: Int64?

  /// Takes a look.
  /// - Parameter now: Its moment, in milliseconds of the monotonic clock.
  mutating func take(_ census: Census, at now: Int64) {
    var listeners = Listeners()
    for socket in census.sockets where socket.state == .listen && socket.transport != .udp {
      listeners.ports.insert(socket.localPort)
      if let owner = Self.process(of: socket, in: census) { listeners.owners[socket.localPort] = owner }
    }
    var next: [UInt64: Life] = [:]
    var ended: Set<UInt64> = []
    for socket in census.sockets where socket.transport != .udp && socket.identity != 0 && socket.remotePort != 0 {
      let identity = socket.identity
      guard socket.state == .timeWait else {
        next[identity] = open.removeValue(forKey: identity) ?? begin(socket, census, listeners, now)
        continue
      }
      ended.insert(identity)
      if let life = open.removeValue(forKey: identity) {
        end(life, now)
      } else if latest != nil, !over.contains(identity) {
        end(begin(socket, census, listeners, now), now)
      }
    }
    for life in open.values { end(life, now) }
    (open, over, latest) = (next, ended, now)
  }

  private static func process(of socket: InetSocket, in census: Census) -> ReportPeriod.Process? {
    census.holders.first(of: socket.inode).map {
      ReportPeriod.Process(pid: $0.pid, started: census.programs[$0.pid]?.started ?? 0)
    }
  }

  private mutating func begin(
    _ socket: InetSocket, _ census: Census, _ listeners: Listeners, _ now: Int64
  ) -> Life {
    let isServer = listeners.ports.contains(socket.localPort)
    let process = Self.process(of: socket, in: census) ?? listeners.owners[socket.localPort]
    let group = Group(process: process, port: isServer ? socket.localPort : socket.remotePort, isServer: isServer)
    if latest != nil { count(group) { $0.began += 1 } }
    return Life(group: group, notSeen: latest, seen: now)
  }

  private mutating func end(_ life: Life, _ now: Int64) {
    let (before, least) = (life.notSeen, (latest ?? now) - life.seen)
    count(life.group) { lives in
      lives.ended += 1
      guard let before, lives.least.count < Self.mostTimes else { return }
      lives.least.append(UInt32(clamping: least))
      lives.most.append(UInt32(clamping: now - before))
    }
  }

  private mutating func count(_ group: Group, _ change: (inout Lives) -> Void) {
    guard groups[group] != nil || groups.count < Self.mostGroups else { return leftOut += 1 }
    change(&groups[group, default: Lives()])
  }
}
