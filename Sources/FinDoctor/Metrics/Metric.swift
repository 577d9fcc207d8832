/// A family of metrics: its name, type, unit, help text, labels and bound.
///
/// ``all`` is the table from which the exposition, the help page, the rules' test and the dashboards derive.
package struct Metric: Hashable, Sendable {
  /// The types of OpenMetrics that the table uses.
  package enum Kind: String, Sendable {
    /// A value that rises and falls.
    case gauge
    /// A value that only rises while the exporter runs. Its samples have the suffix `_total`.
    case counter
    /// A constant 1 whose labels are the information. Its samples have the suffix `_info`.
    case info
  }

  /// The value that a series has for an hour after its cause is gone, so that alerts resolve and `delta` works.
  package enum Afterwards: Hashable, Sendable {
    /// The number 0.
    case zero
    /// Infinity: a time that never comes.
    case infinity
    /// The last value, as of every counter.
    case lastValue
    /// No value: 0 would be a false statement, such as a limit of 0.
    case absent
  }

  /// The bound on the number of series.
  package enum Bound: Hashable, Sendable {
    /// This many.
    case fixed(Int)
    /// This many for each program, and as many for the rest under `program="other"`.
    case perProgram(Int)
    /// This many for each listener, and as many for the rest.
    case perListener(Int)
    /// This many for each destination.
    case perDestination(Int)
    /// This many for each network namespace, and as many for the rest.
    case perNamespace(Int)

    /// The number with these limits.
    package func most(_ limits: MetricLimits) -> Int {
      switch self {
      case .fixed(let count): count
      case .perProgram(let count): count * (limits.programs + 1)
      case .perListener(let count): count * (limits.listeners + 1)
      case .perDestination(let count): count * limits.destinations
      case .perNamespace(let count): count * (limits.namespaces + 1)
      }
    }
  }

  /// The name of the family: a counter's has no `_total`, and an info's no `_info`.
  package let name: String
  /// The type.
  package let kind: Kind
  /// The base unit, which is the end of the name; nil for a number of things.
  package let unit: String?
  /// The meaning, as one or two sentences.
  package let help: String
  /// The names of the labels, in the order of a sample's values.
  package let labels: [String]
  /// The bound on the number of series. ``MetricLimits/samples`` bounds all families together.
  package let bound: Bound
  /// The value after the cause is gone.
  package let afterwards: Afterwards
  /// Whether `fin export` alone has it: it is about the exporter, and not about the machine.
  package let isOfExporter: Bool

  private init(
    _ kind: Kind, _ name: String, unit: String? = nil, by labels: [String] = [], atMost bound: Bound = .fixed(1),
    after: Afterwards = .absent, isOfExporter: Bool = false, _ help: String
  ) {
    self.kind = kind
    self.name = name
    self.unit = unit
    self.labels = labels
    self.bound = bound
    afterwards = kind == .counter ? .lastValue : after
    self.isOfExporter = isOfExporter
    self.help = help
  }

  /// The name of its samples.
  package var sampleName: String {
    switch kind {
    case .gauge: name
    case .counter: name + "_total"
    case .info: name + "_info"
    }
  }

  package static func == (left: Metric, right: Metric) -> Bool { left.name == right.name }
  package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// The table.
extension Metric {
  private static let program = ["program", "unit"]
  private static let listener = ["program", "unit", "listener"]
  private static let route = ["netns", "source", "destination"]

  package static let build = Metric(.info, "fin_build", by: ["version", "kernel"], "Version of fin and of the kernel.")
  package static let unitInfo = Metric(
    .info, "fin_unit", by: ["unit", "namespace", "pod", "container"], atMost: .perProgram(1),
    "Pods and containers of each unit, from the names in /var/log/containers.")

  package static let findingSockets = Metric(
    .gauge, "fin_finding_sockets", by: ["finding", "severity", "program", "unit"], atMost: .perProgram(8), after: .zero,
    "Sockets, descriptors or processes of each finding, as fin check counts them. Muted ones are left out.")
  package static let findings = Metric(
    .gauge, "fin_findings", by: ["severity"], atMost: .fixed(3), after: .zero,
    "Findings of each severity, without muted ones.")
  package static let mutedFindings = Metric(.gauge, "fin_muted_findings", "Findings that a mute file leaves out.")
  package static let onPurpose = Metric(
    .gauge, "fin_on_purpose_sockets", "Sockets left out because their program declares their state intentional.")

  package static let sockets = Metric(
    .gauge, "fin_sockets", by: ["program", "unit", "kind", "state"], atMost: .perProgram(32), after: .zero,
    "Sockets by their program, unit, kind and state. A socket that several processes hold is counted once.")
  package static let stateAge = Metric(
    .gauge, "fin_state_age_seconds", unit: "seconds", by: ["program", "unit", "state"], atMost: .perProgram(5),
    after: .zero,
    "Lower bound of the time that the oldest socket has been in its state.")
  package static let receiveQueue = Metric(
    .gauge, "fin_receive_queue_bytes", unit: "bytes", by: program, atMost: .perProgram(1), after: .zero,
    "Bytes that arrived for the connections of a program and that it has not read.")
  package static let sendQueue = Metric(
    .gauge, "fin_send_queue_bytes", unit: "bytes", by: program, atMost: .perProgram(1), after: .zero,
    "Bytes that a program has sent and that its peers have not acknowledged.")
  package static let memory = Metric(
    .gauge, "fin_socket_memory_bytes", unit: "bytes", by: program, atMost: .perProgram(1), after: .zero,
    "Kernel memory that the queues of the sockets of a program take.")
  package static let openDescriptors = Metric(
    .gauge, "fin_worst_process_open_fds", by: program, atMost: .perProgram(1),
    "Open descriptors of the process of a program that is nearest to its limit.")
  package static let descriptorLimit = Metric(
    .gauge, "fin_worst_process_max_fds", by: program, atMost: .perProgram(1),
    "Limit of descriptors of the same process.")
  package static let descriptorExhaustion = Metric(
    .gauge, "fin_fd_exhaustion_seconds", unit: "seconds", by: program, atMost: .perProgram(1), after: .infinity,
    "Time until that process has no descriptor left, at the pace of the last 15 minutes; infinite without growth.")

  package static let listenerQueue = Metric(
    .gauge, "fin_listener_queue", by: listener, atMost: .perListener(1), after: .zero, "Clients that wait for accept.")
  package static let listenerLimit = Metric(
    .gauge, "fin_listener_queue_limit", by: listener, atMost: .perListener(1),
    "Limit of that queue. Listeners that share an address with SO_REUSEPORT are summed.")
  package static let listenerWait = Metric(
    .gauge, "fin_listener_oldest_wait_seconds", unit: "seconds", by: listener, atMost: .perListener(1), after: .zero,
    "Lower bound of the time that the first client has waited for accept.")
  package static let listenerAbandoned = Metric(
    .gauge, "fin_listener_abandoned", by: listener, atMost: .perListener(1), after: .zero,
    "Clients that wait for accept and have already closed.")
  package static let listenerHandshakes = Metric(
    .gauge, "fin_listener_handshakes", by: listener, atMost: .perListener(1), after: .zero,
    "Handshakes that the peers have not finished.")
  package static let listenerDropped = Metric(
    .counter, "fin_listener_dropped", by: listener, atMost: .perListener(1),
    "Connection attempts that a TCP listener dropped since its program called listen.")

  package static let portCapacity = Metric(
    .gauge, "fin_port_budget_capacity", by: route, atMost: .perDestination(1),
    "Local ports from which connect chooses, for each destination that uses 1 % of them or more.")
  package static let portFree = Metric(
    .gauge, "fin_port_budget_free", by: route, atMost: .perDestination(1),
    "Local ports that are free for a destination.")
  package static let portUsed = Metric(
    .gauge, "fin_port_budget_used", by: route + ["how"], atMost: .perDestination(3),
    "Local ports that connections of a destination, their TIME-WAIT entries, or bind take.")

  package static let namespaceEvents = Metric(
    .counter, "fin_netns_tcp_events", by: ["netns", "event"], atMost: .perNamespace(NamespaceEvents.names.count),
    "The kernel's counters of TCP in each network namespace, by their names in /proc/net/snmp and netstat.")
  package static let orphansLimit = Metric(
    .gauge, "fin_orphans_limit", "Limit of connections that no program holds (tcp_max_orphans).")
  package static let timeWaitLimit = Metric(
    .gauge, "fin_time_wait_limit", "Limit of entries in TIME-WAIT in the exporter's namespace (tcp_max_tw_buckets).")
  package static let memoryLimit = Metric(
    .gauge, "fin_tcp_memory_limit_bytes", unit: "bytes", "Memory at which TCP refuses (the third number of tcp_mem).")

  package static let hidden = Metric(
    .gauge, "fin_hidden", by: ["what"], atMost: .fixed(4),
    "Parts of the machine that could not be seen: the silence of all other metrics says nothing about them.")
  package static let unattributed = Metric(
    .gauge, "fin_unattributed_sockets", "Sockets whose holder could not be seen.")
  package static let folded = Metric(
    .gauge, "fin_folded", by: ["what"], atMost: .fixed(4), "Names that are over the limits, and counted under other.")
  package static let duration = Metric(
    .gauge, "fin_census_duration_seconds", unit: "seconds", by: ["part"], atMost: .fixed(2),
    "Time that the last census took, and that the findings in it took.")

  package static let age = Metric(
    .gauge, "fin_census_age_seconds", unit: "seconds", isOfExporter: true,
    "Age of the census, which concurrent scrapes share.")
  package static let processorTime = Metric(
    .counter, "process_cpu_seconds", unit: "seconds", isOfExporter: true, "Processor time of the exporter.")
  package static let residentMemory = Metric(
    .gauge, "process_resident_memory_bytes", unit: "bytes", isOfExporter: true, "Resident memory of the exporter.")
  package static let ownDescriptors = Metric(
    .gauge, "process_open_fds", isOfExporter: true, "Open descriptors of the exporter.")
  package static let ownDescriptorLimit = Metric(
    .gauge, "process_max_fds", isOfExporter: true, "Limit of descriptors of the exporter.")
  package static let startTime = Metric(
    .gauge, "process_start_time_seconds", unit: "seconds", isOfExporter: true,
    "Time when the exporter started, in seconds since 1970.")

  /// The families, in the order of the exposition.
  package static let all: [Metric] = [
    build, unitInfo, findingSockets, findings, mutedFindings, onPurpose, sockets, stateAge, receiveQueue, sendQueue,
    memory, openDescriptors, descriptorLimit, descriptorExhaustion, listenerQueue, listenerLimit, listenerWait,
    listenerAbandoned, listenerHandshakes, listenerDropped, portCapacity, portFree, portUsed, namespaceEvents,
    orphansLimit, timeWaitLimit, memoryLimit, hidden, unattributed, folded, duration, age, processorTime,
    residentMemory, ownDescriptors, ownDescriptorLimit, startTime,
  ]

  /// The place of each family in ``all``.
  static let places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1.name, $0) })
}

/// The limits of an exposition.
package struct MetricLimits: Hashable, Sendable {
  /// The programs that have series of their own. The sum of all others is `program="other"`.
  package var programs = 100
  /// The listeners that have series of their own.
  package var listeners = 100
  /// The destinations whose port budgets are listed, the fullest first.
  package var destinations = 20
  /// The network namespaces that have series of their own.
  package var namespaces = 20
  /// The samples of all families together. Where they would be more, fewer programs and listeners have their own.
  package var samples = 4000

  /// The default limits.
  package init() {}
}
