/// From when on something is found, and from when on it is bad. The defaults are the catalogue's.
public struct Thresholds: Hashable, Sendable {
  /// The time in CLOSE-WAIT from which on it is looked at.
  public var closeWait = Duration.seconds(5)
  /// The time in CLOSE-WAIT from which on even one is a warning.
  public var closeWaitLong = Duration.seconds(60)
  /// So many of one program and place are a warning.
  public var closeWaitMany = 10
  /// Who sent data so recently is still talking.
  public var activity = Duration.seconds(1)
  /// The share of a program's descriptors that makes a leak critical.
  public var leakShare = 0.25

  /// So many detached descriptors of one program are a warning.
  public var detachedMany = 5

  /// The share of the limit of descriptors.
  public var descriptorWarning = 0.7
  /// The share of the limit of descriptors that is critical.
  public var descriptorCritical = 0.9
  /// A limit that will be reached so soon is critical.
  public var descriptorSoon = Duration.seconds(600)

  /// So many sockets without a descriptor are a warning.
  public var noDescriptorMany = 10

  /// Closes with unread data, for each second.
  public var closedUnreadRate = 1.0

  /// The time in FIN-WAIT-2 from which on it is looked at.
  public var finWait2 = Duration.seconds(60)
  /// The time in FIN-WAIT-2 from which on even one is a warning.
  public var finWait2Long = Duration.seconds(300)
  /// So many are a warning.
  public var finWait2Many = 10

  /// The share of the machine's limit of orphans. The kernel itself counts up to four times as strictly.
  public var orphansWarning = 0.25
  /// The share of the limit of orphans that is critical.
  public var orphansCritical = 0.5

  /// The time that a window is closed from which on it is looked at.
  public var window = Duration.seconds(5)
  /// The time that a window is closed from which on it is a warning.
  public var windowLong = Duration.seconds(30)
  /// So many to one peer are critical.
  public var windowMany = 10
  /// The share of the machine's TCP memory that waits for one group of peers.
  public var windowMemory = 0.1
  /// The share of the receive buffer that is full of what we do not read.
  public var unreadShare = 0.75

  /// The time without any acknowledgement.
  public var unacknowledged = Duration.seconds(10)
  /// So many retransmissions in a row.
  public var unacknowledgedTries = 3
  /// So many to one peer are critical.
  public var unacknowledgedMany = 5

  /// The time without data.
  public var idle = Duration.seconds(1800)
  /// The time without data from which on many are a warning.
  public var idleLong = Duration.seconds(3600)
  /// So many.
  public var idleMany = 20

  /// So many repeated SYNs.
  public var connectTries = 2
  /// The time from which on it is a warning.
  public var connect = Duration.seconds(3)
  /// So many to one destination are critical.
  public var connectMany = 10

  /// The share of the ports for one destination.
  public var portsWarning = 0.6
  /// The share of the ports that is critical.
  public var portsCritical = 0.85
  /// The share of the ports that are bound before connect.
  public var boundShare = 0.2
  /// So many are needed before anything is said of how they were chosen.
  public var boundMany = 16
  /// The share of the ports that rest in TIME-WAIT from which on it is mentioned.
  public var timeWait = 0.05
  /// The share of the ports that rest in TIME-WAIT that is a warning.
  public var timeWaitWarning = 0.3

  /// The time in a listener's queue.
  public var accept = Duration.seconds(1)
  /// The time in a listener's queue that is critical.
  public var acceptLong = Duration.seconds(10)
  /// The share of a listener's room for unfinished handshakes.
  public var synBacklog = 0.5

  /// The share of the machine's TCP memory, or of its tracked connections.
  public var memoryWarning = 0.7
  /// The share that is critical.
  public var memoryCritical = 0.9

  /// So many Unix sockets whose peer is gone are a warning.
  public var unixGoneMany = 5
  /// The share of a Unix socket's buffer that is full of what nobody reads.
  public var unixUnreadShare = 0.75

  /// The catalogue's.
  public init() {}

  /// For a leak gate: everything that was not given back counts, at once, and each is a warning at least.
  public static var leaks: Thresholds {
    var all = Thresholds()
    all.closeWait = .zero
    all.closeWaitLong = .zero
    all.closeWaitMany = 1
    all.detachedMany = 1
    all.noDescriptorMany = 1
    return all
  }
}

extension Duration {
  /// Whole milliseconds.
  var milliseconds: UInt64 {
    let (seconds, attoseconds) = components
    return seconds < 0 ? 0 : UInt64(seconds) * 1000 + UInt64(attoseconds / 1_000_000_000_000_000)
  }

  /// As a number of seconds.
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
