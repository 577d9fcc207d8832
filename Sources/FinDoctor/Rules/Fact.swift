extension Finding {
  /// A value that the sentences of findings rest on: its name, and the place where it is read.
  public struct Fact: Hashable, Sendable {
    /// The name: `Recv-Q`, `other end`.
    public let name: String
    /// The place where it is read: `sock_diag`, `/proc/PID/stat`.
    public let source: String

    init(_ name: String, from source: String) {
      self.name = name
      self.source = source
    }
  }

  /// The value of one fact for one finding.
  public struct Reading: Hashable, Sendable {
    /// The fact.
    public var fact: Fact
    /// Its value in words; nil when it could not be read.
    public var value: String?
    /// Whether the value excludes the other situations that this fact is able to exclude.
    public var excludes: Bool

    /// A value, and whether it excludes other situations. A value that could not be read excludes nothing.
    static func read(_ fact: Fact, _ value: String?, excludes: Bool = true) -> Reading {
      Reading(fact: fact, value: value, excludes: excludes && value != nil)
    }

    /// A fact that holds, or else excludes nothing.
    static func holds(_ fact: Fact, _ value: String, _ condition: Bool) -> Reading {
      Reading(fact: fact, value: condition ? value : nil, excludes: condition)
    }
  }
}

/// The facts that rules read.
extension Finding.Fact {
  private static let table = "sock_diag"

  /// The state, the queues, the timer and the inode of each row in the finding.
  static let rows = Self("rows", from: table)
  /// The bytes that the program has not read.
  static let receiveQueue = Self("Recv-Q", from: table)
  /// The time since the last event, by the kernel's fields.
  static let age = Self("age", from: "tcp_info")
  /// The number of tries without an answer.
  static let tries = Self("tries without an answer", from: table)
  /// The peer's receive window, and whether the peer's kernel still answers.
  static let window = Self("the peer's window", from: "tcp_info")
  /// The row of the connection's other end, where that is on this machine.
  static let otherEnd = Self("other end", from: "sock_diag of every namespace")
  /// Whether the kernel's tables were read to their end and without a change.
  static let wholeTables = Self("whole tables", from: table)
  /// Whether the tables of all network namespaces were read.
  static let allNamespaces = Self("all namespaces", from: "/proc/PID/ns/net")
  /// Whether the descriptors of all processes were read.
  static let allProcesses = Self("all processes", from: "/proc/PID/fd")
  /// The epoll sets, blocked threads and states of the processes that hold the socket.
  static let watchers = Self("watched by", from: "/proc/PID/fdinfo, /proc/PID/task/TID/syscall, /proc/PID/stat")
  /// The length of the accept queue beside its limit.
  static let acceptQueue = Self("accept queue", from: table)
  /// Whether no other listener could have the same clients or drops.
  static let soleListener = Self("only listener", from: table)
  /// Whether no other process holds the socket.
  static let soleHolder = Self("only holder", from: "/proc/PID/fd")
  /// The namespace's count of full accept queues.
  static let overflows = Self("ListenOverflows", from: "/proc/PID/net/netstat")
  /// The connection attempts that a listener dropped.
  static let drops = Self("drops of the listener", from: "INET_DIAG_SKMEMINFO")
  /// A second census.
  static let secondCensus = Self("second census", from: "a census some time before")
  /// The number of open descriptors beside the limit.
  static let descriptors = Self("descriptors", from: "/proc/PID/fd, /proc/PID/limits")
  /// The kernel's counters of memory, connections and errors.
  static let counters = Self("counters", from: "/proc/PID/net, /proc/sys/net")
  /// The ports that connect chooses from.
  static let portRange = Self("ip_local_port_range", from: "/proc/sys/net/ipv4")
  /// The program's own statement about the socket.
  static let ledger = Self("ledger", from: "the memory file that the program publishes")
  /// The processes that hold the socket.
  static let holders = Self("held by", from: "/proc/PID/fd")
  /// The kernel's report of a socket that was closed.
  static let closes = Self("closes", from: "SKNLGRP_INET_TCP_DESTROY, or TCPAbortOnClose")
  /// The holder of a socket that no descriptor holds.
  static let keeper = Self("holder without a descriptor", from: "/proc/PID/fdinfo, RTM_GETLINK")
  /// The executables of two processes, their parents and the times when they were started.
  static let programs = Self("executables, parents and ages", from: "/proc/PID/exe, /proc/PID/stat")
  /// The datagrams that a socket dropped, and the memory in its receive buffer.
  static let datagrams = Self("drops and receive buffer", from: "INET_DIAG_SKMEMINFO")
  /// The peer and the memory of a Unix socket.
  static let unixRows = Self("Unix rows", from: "unix_diag")
}
