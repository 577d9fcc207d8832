/// The panes of `fin watch`, by the keys that show them.
enum WatchPane: Int, CaseIterable, Sendable {
  case findings = 1, lifecycle, sockets, listeners, ports, programs

  var name: String {
    switch self {
    case .findings: "findings"
    case .lifecycle: "lifecycle"
    case .sockets: "sockets"
    case .listeners: "listeners"
    case .ports: "ports"
    case .programs: "programs"
    }
  }

  /// The orders in which `s` sorts, the usual one first.
  var sorts: [WatchSort] {
    switch self {
    case .findings: [.worst, .age, .count, .program]
    case .lifecycle: []
    case .sockets: [.worst, .age, .state, .port, .peer, .program, .receiveQueue, .sendQueue]
    case .listeners: [.worst, .count, .drops, .port, .program]
    case .ports: [.worst, .count, .program]
    case .programs: [.count, .worst, .descriptors, .closeWait, .program]
    }
  }
}

/// The quantities to sort by. Names and ports ascend, everything else descends.
enum WatchSort: String, Sendable {
  case worst, age, count, program, state, port, peer, drops, descriptors
  case receiveQueue = "recv-q"
  case sendQueue = "send-q"
  case closeWait = "close-wait"
}

/// A line of a pane, by a name that stays the same from look to look: the choice follows it.
enum WatchKey: Hashable, Sendable {
  case finding(Int)
  case state(String)
  case subject(WatchSubject)
  case program(Int32)
}
