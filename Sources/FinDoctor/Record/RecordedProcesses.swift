internal import FinBase

extension Holder: Recorded {
  init() { self.init(inode: 0, pid: 0, descriptor: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("inode", &inode)
    try fields.number("pid", &pid)
    try fields.number("descriptor", &descriptor)
    try fields.check(pid >= 0, "pid", "the number of a process is not negative")
    try fields.check(descriptor >= 0, "descriptor", "a descriptor is not negative")
  }
}

/// A descriptor of a socket, with its flags.
struct RecordedHolder: Recorded {
  var holder = Holder()
  var flags: UInt32?

  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try holder.visit(&fields)
    try fields.number("flags", &flags)
  }
}

extension HoldingProcess: Recorded {
  init() { self.init(pid: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("pid", &pid)
    try fields.user("user", &user)
    try fields.check(pid >= 0, "pid", "the number of a process is not negative")
    try fields.number("descriptorCount", &descriptorCount)
    try fields.flag("isReadable", &isReadable)
  }
}

extension Program: Recorded {
  init() { self.init(pid: 0, name: "") }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("pid", &pid)
    try fields.text("name", .program, &name)
    try fields.text("fileName", .program, &fileName)
    try fields.text("commandLine", .arguments, &commandLine)
    try fields.text("script", .script, &script)
    try fields.user("user", &user)
    try fields.text("unit", .unit, &unit)
    try fields.text("container", .container, &container)
    try fields.text("cgroupPath", .path, &cgroupPath)
    try fields.duration("age", &age)
    try fields.number("started", &started)
    try fields.number("parent", &parent)
    try fields.number("group", &group)
    try fields.number("descriptorLimit", &descriptorLimit)
    try fields.text("executable", .path, &executable)
  }
}

extension Keeper: Recorded {
  init() { self = .unseen }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    var keeper = word
    try fields.text("keeper", .word, &keeper)
    var pid: Int32? = if case .ring(let pid) = self { pid } else { nil }
    var receiver: Holder? = if case .message(let receiver) = self { receiver } else { nil }
    var (name, kind): (String?, String?) = (nil, nil)
    if case .interface(let interface, let itsKind) = self { (name, kind) = (interface, itsKind) }
    try fields.number("pid", &pid)
    try fields.object("receiver", &receiver)
    try fields.text("interface", .interface, &name)
    try fields.text("kind", .word, &kind)
    switch (keeper, pid, receiver, name) {
    case ("ring", let pid?, _, _): self = .ring(pid: pid)
    case ("message", _, let receiver?, _): self = .message(receiver)
    case ("interface", _, _, let name?): self = .interface(name: name, kind: kind ?? "")
    case ("kernel", _, _, _): self = .kernel
    case ("unclear", _, _, _): self = .unclear
    default:
      self = .unseen
      try fields.check(keeper == "unseen", "keeper", "there is no such keeper, or a part of it is missing")
    }
    try fields.check(pid ?? 0 >= 0, "pid", "the number of a process is not negative")
  }
}

extension CensusGaps.Unanswered {
  /// Visits the readings that are missing, as numbers.
  static func visit(
    _ fields: inout some FieldVisitor, _ readings: inout Set<Self>
  ) throws(CensusRecord.Fault) {
    var numbers = readings.map(\.rawValue).sorted()
    try fields.numbers("unanswered", &numbers)
    readings = Set(numbers.compactMap { Self(rawValue: $0) })
    try fields.check(readings.count == Set(numbers).count, "unanswered", "there is no reading of this number")
  }
}

/// The readings of a process that did not answer.
struct UnansweredEntry: RecordedEntry {
  var key: Int32 = 0
  var value: Set<CensusGaps.Unanswered> = []

  init(_ key: Int32, _ value: Set<CensusGaps.Unanswered>) { (self.key, self.value) = (key, value) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("pid", &key)
    try CensusGaps.Unanswered.visit(&fields, &value)
  }
}

extension Cgroup: Recorded {
  init() { self.init(path: []) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.text("path", .path, &path)
    try fields.text("unit", .unit, &unit)
    try fields.text("container", .container, &container)
  }
}

extension Watchers: Recorded {
  init() { self.init(interests: []) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    var (interests, blocked) = (ContiguousArray(interests), ContiguousArray(blocked))
    try fields.list("interests", &interests)
    try fields.list("blocked", &blocked)
    (self.interests, self.blocked) = (Array(interests), Array(blocked))
    try fields.flag("isComplete", &isComplete)
    var letter = state?.letter
    try fields.number("state", &letter)
    state = letter.map { ProcessState(letter: $0) }
    try CensusGaps.Unanswered.visit(&fields, &unanswered)
    try RecordedSentence.visit(&fields, "cut", &cut, .word)
  }
}

extension Watchers.Interest: Recorded {
  init() { self.init(epoll: 0, descriptor: 0, events: 0, inode: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("epoll", &epoll)
    try fields.number("descriptor", &descriptor)
    try fields.number("events", &events)
    try fields.number("inode", &inode)
  }
}

extension Watchers.BlockedThread: Recorded {
  init() { self.init(thread: 0, call: "", descriptor: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("thread", &thread)
    try fields.text("call", .word, &call)
    try fields.number("descriptor", &descriptor)
  }
}

extension ProgramLedger: Recorded {
  init() { self.init(when: 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("when", &when)
    try fields.dictionary("sockets", &sockets, as: ValueEntry<Int32, PublishedSocket>.self)
  }
}

extension PublishedSocket: Recorded {
  init() { self.init(file: "", line: 0, phase: .fresh) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.text("file", .file, &file)
    try fields.number("line", &line)
    try fields.number("opened", &opened)
    try fields.raw("phase", &phase)
    try visit(&fields, "input", &input)
    try visit(&fields, "output", &output)
    var declared = intent.rawValue
    try fields.number("intent", &declared)
    intent = Intent(rawValue: declared)
    try fields.number("intentEnds", &intentEnds)
    try fields.flag("isInherited", &isInherited)
  }

  /// A wait, as the ledger stores it: 0 for none, the greatest number for one without an end.
  private func visit(
    _ fields: inout some FieldVisitor, _ key: JSONKey, _ wait: inout Wait
  ) throws(CensusRecord.Fault) {
    var number: UInt64 =
      switch wait {
      case .none: 0
      case .until(let end): end
      case .forever: .max
      }
    try fields.number(key, &number)
    wait = Wait(number)
  }
}

/// A language, by its name.
struct LanguageEntry: RecordedEntry {
  var key: Int32 = 0
  var value = Language.unknown

  init(_ key: Int32, _ value: Language) { (self.key, self.value) = (key, value) }
  init() {}

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("pid", &key)
    var name = value.rawValue
    try fields.text("language", .word, &name)
    value = Language(rawValue: name) ?? .unknown
  }
}
