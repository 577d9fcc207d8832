/// The limits above which something is a finding, and those above which it is a warning or critical. The defaults are
/// the catalogue's.
public struct Thresholds: Hashable, Sendable {
  /// The minimum time in CLOSE-WAIT.
  package var closeWait = Duration.seconds(5)
  /// The time in CLOSE-WAIT above which even one connection is a warning.
  package var closeWaitLong = Duration.seconds(60)
  /// The number of connections of one program and place that is a warning.
  package var closeWaitMany = 10
  /// A program that sent data within this time is still talking.
  package var activity = Duration.seconds(1)
  /// The share of a program's descriptor limit that makes a leak critical.
  package var leakShare = 0.25

  /// The number of detached descriptors of one program that is a warning.
  package var detachedMany = 5

  /// The share of the descriptor limit that is a warning.
  package var descriptorWarning = 0.7
  /// The share of the descriptor limit that is critical.
  package var descriptorCritical = 0.9
  /// A limit that will be reached within this time is critical.
  package var descriptorSoon = Duration.seconds(600)

  /// The number of sockets without a descriptor that is a warning.
  package var noDescriptorMany = 10

  /// The rate of closes with unread data, per second, above which they are a warning.
  package var closedUnreadRate = 1.0

  /// The minimum time in FIN-WAIT-2.
  package var finWait2 = Duration.seconds(60)
  /// The time in FIN-WAIT-2 above which even one connection is a warning.
  package var finWait2Long = Duration.seconds(300)
  /// The number of connections in FIN-WAIT-2 that is a warning.
  package var finWait2Many = 10

  /// The share of the machine's orphan limit that is a warning. The kernel itself counts up to four times as strictly.
  package var orphansWarning = 0.25
  /// The share of the orphan limit that is critical.
  package var orphansCritical = 0.5

  /// The minimum time that a window has been closed.
  package var window = Duration.seconds(5)
  /// The time that a window has been closed above which it is a warning.
  package var windowLong = Duration.seconds(30)
  /// The number of connections to one peer that is critical.
  package var windowMany = 10
  /// The share of the machine's TCP memory, queued for one group of peers, that is critical.
  package var windowMemory = 0.1
  /// The share of the receive buffer above which unread data counts as full.
  package var unreadShare = 0.75

  /// The minimum time without any acknowledgement.
  package var unacknowledged = Duration.seconds(10)
  /// The minimum number of retransmissions in a row.
  package var unacknowledgedTries = 3
  /// The number of connections to one peer that is critical.
  package var unacknowledgedMany = 5

  /// The minimum time without data.
  package var idle = Duration.seconds(1800)
  /// The time without data above which ``idleMany`` connections are a warning.
  package var idleLong = Duration.seconds(3600)
  /// The number of idle connections that is a warning.
  package var idleMany = 20

  /// The minimum number of retransmitted SYNs.
  package var connectTries = 2
  /// The time without an answer to the SYN that is a warning.
  package var connect = Duration.seconds(3)
  /// The number of attempts to one destination that is critical.
  package var connectMany = 10

  /// The share of the ports for one destination that is a warning.
  package var portsWarning = 0.6
  /// The share of the ports that is critical.
  package var portsCritical = 0.85
  /// The share of the ports bound before connect that is a warning.
  package var boundShare = 0.2
  /// The minimum number of ports from which to judge whether bind or connect chose them.
  package var boundMany = 16
  /// The minimum share of the ports in TIME-WAIT.
  package var timeWait = 0.05
  /// The share of the ports in TIME-WAIT that is a warning.
  package var timeWaitWarning = 0.3

  /// The minimum time in a listener's accept queue.
  package var accept = Duration.seconds(1)
  /// The time in a listener's accept queue that is critical.
  package var acceptLong = Duration.seconds(10)
  /// The minimum age of a process that holds a listener and does not accept.
  package var orphanAge = Duration.seconds(10)
  /// The time after a reload from which an old process with connections is a warning.
  package var drain = Duration.seconds(600)
  /// The minimum share of a listener's room for unfinished handshakes.
  package var synBacklog = 0.5

  /// The share of the machine's TCP memory, or of its connection tracking table, that is a warning.
  package var memoryWarning = 0.7
  /// The share that is critical.
  package var memoryCritical = 0.9

  /// The number of Unix sockets with a closed peer that is a warning.
  package var unixGoneMany = 5
  /// The minimum share of a Unix socket's send buffer filled with data that the peer has not read.
  package var unixUnreadShare = 0.75

  /// Creates the catalogue's thresholds.
  public init() {}

  /// Thresholds for a leak gate: every socket that was not given back counts, at once, and is at least a warning.
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

  /// The duration as a number of seconds.
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
