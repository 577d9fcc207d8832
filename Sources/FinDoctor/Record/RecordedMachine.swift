internal import FinBase

extension Namespace: Recorded {
  package init() { self.init(inode: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("inode", &inode)
    try fields.text("name", .namespace, &name)
    try fields.flag("isOwn", &isOwn)
    try fields.flag("isRead", &isRead)
    var values = ContiguousArray(counters.values.sorted { $0.key < $1.key }.map { CounterEntry($0.key, $0.value) })
    try fields.list("counters", &values)
    counters = Counters(Dictionary(values.map { ($0.name, $0.value) }) { $1 })
    try fields.object("limits", &limits)
    var indices = ContiguousArray(interfaces.sorted { $0.key < $1.key }.map { InterfaceEntry($0.key, $0.value) })
    try fields.list("interfaces", &indices)
    interfaces = Dictionary(indices.map { ($0.name, $0.index) }) { $1 }
  }
}

/// The index of an interface that was asked for by its name.
private struct InterfaceEntry: Recorded {
  var name = ""
  var index: UInt32 = 0

  init(_ name: String, _ index: UInt32) { (self.name, self.index) = (name, index) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.text("name", .interface, &name)
    try fields.number("index", &index)
  }
}

/// A counter of the kernel, by its name.
private struct CounterEntry: Recorded {
  var name = ""
  var value: Int64 = 0

  init(_ name: String, _ value: Int64) { (self.name, self.value) = (name, value) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.text("name", .word, &name)
    try fields.number("value", &value)
  }
}

extension KernelLimits: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    var range: RecordedPorts? = ephemeralPorts.map { RecordedPorts($0) }
    try fields.object("ephemeralPorts", &range)
    ephemeralPorts = range?.range
    var reserved = ContiguousArray(reservedPorts.map { RecordedPorts($0) })
    try fields.list("reservedPorts", &reserved)
    reservedPorts = reserved.map(\.range)
    try fields.duration("finTimeout", &finTimeout)
    try fields.number("timeWaitReuse", &timeWaitReuse)
    try fields.duration("timeWaitReuseDelay", &timeWaitReuseDelay)
    try fields.number("timeWaitEntries", &timeWaitEntries)
    try fields.number("listenBacklog", &listenBacklog)
    try fields.number("synBacklog", &synBacklog)
    try fields.number("trackedConnections", &trackedConnections)
    try fields.number("trackedConnectionsLimit", &trackedConnectionsLimit)
    try fields.number("orphans", &orphans)
    try fields.numbers("memoryPages", &memoryPages)
    try fields.number("receiveBuffer", &receiveBuffer)
    try fields.number("openFiles", &openFiles)
    try fields.number("openFilesLimit", &openFilesLimit)
  }
}

/// A range of ports.
private struct RecordedPorts: Recorded {
  var first: UInt16 = 0
  var last: UInt16 = 0

  var range: ClosedRange<UInt16> { first...last }

  init(_ range: ClosedRange<UInt16>) { (first, last) = (range.lowerBound, range.upperBound) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("first", &first)
    try fields.number("last", &last)
    try fields.check(first <= last, "last", "the last port is below the first")
  }
}

extension TCPRetryLimits: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("dataRetries", &dataRetries)
    try fields.number("orphanRetries", &orphanRetries)
    try fields.number("synRetries", &synRetries)
    try fields.number("linearSynRetries", &linearSynRetries)
    try fields.number("keepaliveInterval", &keepaliveInterval)
    try fields.number("keepaliveProbes", &keepaliveProbes)
  }
}

extension CensusGaps: Recorded {
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    var users = ContiguousArray(unreadableProcesses.sorted { $0.key < $1.key }.map { UserCount($0.key, $0.value) })
    try fields.list("unreadableProcesses", &users)
    unreadableProcesses = Dictionary(users.map { ($0.user, $0.count) }) { $1 }
    try fields.number("unseenHolders", &unseenHolders)
    try fields.flag("hidesProcesses", &hidesProcesses)
    try fields.number("skippedNamespaces", &skippedNamespaces)
    try fields.number("vanishedNamespaces", &vanishedNamespaces)
    try fields.number("namespacesLeftOut", &namespacesLeftOut)
    try fields.number("damagedAnswers", &damagedAnswers)
    try fields.number("interruptedDumps", &interruptedDumps)
    try fields.number("vanishedProcesses", &vanishedProcesses)
    try fields.number("lostEnds", &lostEnds)
    try fields.number("uncountedEnds", &uncountedEnds)
    try fields.number("socketsWithoutDetails", &socketsWithoutDetails)
    try fields.numbers("lockedSockets", &lockedSockets)
    try fields.dictionary("unanswered", &unanswered, as: UnansweredEntry.self)
    var pids = unasked.sorted()
    try fields.numbers("unasked", &pids)
    unasked = Set(pids)
    try RecordedSentence.visit(&fields, "cutReadings", &cutReadings, .word)
    try RecordedSentence.visit(&fields, "refusedDumps", &refusedDumps, .word)
    try RecordedSentence.visit(&fields, "unreadLedgers", &unreadLedgers, .sentence)
  }
}

/// The number of processes of a user.
private struct UserCount: Recorded {
  var user: UInt32 = 0
  var count = 0

  init(_ user: UInt32, _ count: Int) { (self.user, self.count) = (user, count) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.user("user", &user)
    try fields.number("count", &count)
  }
}

/// A sentence of a list.
struct RecordedSentence: Recorded {
  var text = ""
  var kind = Redaction.Kind.word

  init(_ text: String, _ kind: Redaction.Kind) { (self.text, self.kind) = (text, kind) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.text("text", kind, &text)
  }

  /// Visits a list of sentences.
  static func visit(
    _ fields: inout some FieldVisitor, _ key: JSONKey, _ sentences: inout [String], _ kind: Redaction.Kind
  ) throws(CensusRecord.Fault) {
    var all = ContiguousArray(sentences.map { Self($0, kind) })
    try fields.list(key, &all)
    sentences = all.map(\.text)
  }
}
