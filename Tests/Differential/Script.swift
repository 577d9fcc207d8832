import Peers

/// The actor of a step: one of the two holders of our side, or the peer.
enum Actor: String, CaseIterable, Sendable {
  case a = "A", b = "B", peer = "P"
}

enum Verb: String, CaseIterable, Sendable {
  // Verbs of a holder.
  case send, some, receive, exactly, line, peek, finish, confirmed, lingering, background, abort, detach, adopt, share
  case duplicate, option, unacked, state, phase, lend, shut, failure, cancel
  // Verbs of the peer, which also has send and finish.
  case read, close, reset
  // Verbs of listeners; connect also applies to clients and datagram sockets.
  case accept, pause, resume, stop, connect
}

/// One step: the actor, the verb, the number of bytes and the timeout.
struct Step: Hashable, Sendable, CustomStringConvertible {
  /// The budget of a wait that only an event should end.
  static let long = -1

  var actor: Actor
  var verb: Verb
  var count = 0
  /// The timeout in milliseconds, or `long`.
  var budget = 0

  /// `A.send.100.0`
  var description: String { "\(actor.rawValue).\(verb.rawValue).\(count).\(budget)" }

  init(_ actor: Actor, _ verb: Verb, _ count: Int = 0, _ budget: Int = 0) {
    self.actor = actor
    self.verb = verb
    self.count = count
    self.budget = budget
  }

  init?(_ text: Substring) {
    let parts = text.split(separator: ".")
    guard parts.count == 4, let actor = Actor(rawValue: String(parts[0])), let verb = Verb(rawValue: String(parts[1])),
      let count = Int(parts[2]), let budget = Int(parts[3])
    else { return nil }
    self.init(actor, verb, count, budget)
  }

  var within: Duration { budget == Step.long ? .seconds(30) : .milliseconds(budget) }
}

/// The sockets of a script, and the threads or tasks of its holders.
struct Setting: Hashable, Sendable, CustomStringConvertible {
  /// The subject of a script: one stream step by step, one stream with all actors at once, a listener, or datagrams.
  enum Kind: String, CaseIterable, Sendable { case stream, crowd, listener, datagram }
  enum Medium: String, CaseIterable, Sendable { case tcp, tcp6, unix, pair }
  enum Role: String, CaseIterable, Sendable { case connect, accept }
  /// How a holder runs: in a thread, in a task on an event loop of Fin, or in a task on another executor.
  enum World: String, CaseIterable, Sendable { case thread, loop, away }
  enum Buffers: String, CaseIterable, Sendable { case wide, small }

  var kind = Kind.stream
  var medium = Medium.tcp
  var role = Role.connect
  var a = World.thread
  var b = World.thread
  var buffers = Buffers.wide

  var isTCP: Bool { medium == .tcp || medium == .tcp6 }
  func world(of actor: Actor) -> World { actor == .b ? b : a }

  /// `stream,tcp,connect,thread,loop,wide`
  var description: String {
    [kind.rawValue, medium.rawValue, role.rawValue, a.rawValue, b.rawValue, buffers.rawValue].joined(separator: ",")
  }

  init() {}

  init?(_ text: Substring) {
    let parts = text.split(separator: ",").map(String.init)
    guard parts.count == 6, let kind = Kind(rawValue: parts[0]), let medium = Medium(rawValue: parts[1]),
      let role = Role(rawValue: parts[2]), let a = World(rawValue: parts[3]), let b = World(rawValue: parts[4]),
      let buffers = Buffers(rawValue: parts[5])
    else { return nil }
    self.kind = kind
    (self.medium, self.role, self.a, self.b, self.buffers) = (medium, role, a, b, buffers)
  }
}

/// A setting and steps, made from a seed or parsed from the output of an earlier run. A step that is not possible at
/// its position is skipped, so that any part of a script is a valid script.
struct Script: Hashable, Sendable, CustomStringConvertible {
  var setting = Setting()
  var steps: [Step] = []

  /// `stream,tcp,connect,thread,loop,wide:A.send.100.0 P.read.5.0`
  var description: String { "\(setting):\(steps.map(\.description).joined(separator: " "))" }

  init?(_ text: String) {
    let halves = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard halves.count == 2, let setting = Setting(halves[0]) else { return nil }
    self.setting = setting
    for word in halves[1].split(separator: " ") {
      guard let step = Step(word) else { return nil }
      steps.append(step)
    }
  }

  init(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    setting.kind = random.pick([.stream, .stream, .stream, .stream, .stream, .crowd, .crowd, .listener, .datagram])
    setting.medium = random.pick([.tcp, .tcp, .tcp, .tcp6, .unix, .pair])
    setting.role = random.pick(Setting.Role.allCases)
    setting.a = random.pick(Setting.World.allCases)
    setting.b = random.pick(Setting.World.allCases)
    setting.buffers = random.pick([.wide, .wide, .small])
    switch setting.kind {
    case .stream:
      let isShared = random.chance(0.7)
      if isShared { steps.append(Step(.a, .share)) }
      for _ in 0..<(4 + Int(random.next() % 20)) {
        if !isShared, random.chance(0.15) {
          steps += random.handOver()
        } else {
          steps.append(random.chance(0.4) ? random.peerStep() : random.holderStep(isShared: isShared, setting))
        }
      }
    case .crowd: steps = random.crowdSteps()
    case .listener: steps = (0..<(4 + Int(random.next() % 16))).map { _ in random.listenerStep() }
    case .datagram: steps = (0..<(4 + Int(random.next() % 16))).map { _ in random.datagramStep() }
    }
  }
}

extension SeededRandom {
  mutating func pick<T>(_ values: [T]) -> T { values[Int(next() % UInt64(values.count))] }
  mutating func chance(_ share: Double) -> Bool { self.share() < share }
  mutating func number(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }

  fileprivate mutating func peerStep() -> Step {
    let verb: Verb = pick([.send, .send, .send, .read, .read, .read, .read, .finish, .close, .reset])
    switch verb {
    case .send: return Step(.peer, verb, pick([1, 7, 60, 500, 5000]))
    case .read: return Step(.peer, verb, pick([1, 10, 1000, 300_000, 300_000]))
    default: return Step(.peer, verb)
    }
  }

  fileprivate mutating func holderStep(isShared: Bool, _ setting: Setting) -> Step {
    let actor: Actor = chance(0.6) ? .a : .b
    let talk: [Verb] = [
      .send, .send, .send, .some, .receive, .receive, .receive, .exactly, .line, .line, .peek, .finish,
    ]
    let look: [Verb] = [.option, .unacked, .state, .phase, .lend, .failure]
    let turn: [Verb] = isShared ? [.cancel] : [.detach, .adopt, .adopt, .share, .duplicate, .duplicate, .shut]
    let end: [Verb] = [.confirmed, .lingering, .background, .abort]
    let kinds = share()
    let verb = pick(kinds < 0.6 ? talk : kinds < 0.75 ? look : kinds < 0.88 ? turn : end)
    let wait = pick([0, 0, 1, 20, Step.long, Step.long])
    switch verb {
    case .send, .some:
      let full = setting.buffers == .small ? [400_000, 400_000] : [20_000]
      return Step(actor, verb, pick([0, 1, 10, 300, 300, 1000] + full), wait)
    case .receive, .exactly, .peek: return Step(actor, verb, pick([1, 5, 50, 1000, 100_000]), wait)
    case .line: return Step(actor, verb, 0, wait)
    // The count of a lingering close is the limit of discarded bytes.
    case .lingering: return Step(actor, verb, pick([0, 10, 16 << 20, 16 << 20]), pick([0, 1, 300, 300, Step.long]))
    case .confirmed: return Step(actor, verb, 0, pick([0, 1, 300, 300, Step.long]))
    default: return Step(actor, verb)
    }
  }

  /// Steps that detach a descriptor from Fin and adopt it again, usually with bytes that were read ahead.
  fileprivate mutating func handOver() -> [Step] {
    var steps: [Step] = []
    if chance(0.7) {
      steps += [Step(.peer, .send, 100), Step(.a, pick([.line, .peek, .exactly]), pick([1, 5, 500]))]
    }
    if chance(0.2) { steps.append(Step(.a, .shut)) }
    steps += [Step(.a, .detach), Step(.a, .adopt)]
    if chance(0.3) { steps.append(Step(.a, .send, 10)) }
    if chance(0.5) { steps.append(Step(.a, .receive, 1000)) }
    return steps
  }

  /// Steps of each actor, in order; the scheduler decides how they interleave.
  fileprivate mutating func crowdSteps() -> [Step] {
    var steps: [Step] = []
    for actor in [Actor.a, .b] {
      for _ in 0..<number(2...8) {
        let verb = pick(
          actor == .a ? [.send, .send, .receive, .receive, .receive] : [.send, .send, .send, .some] as [Verb])
        let other = pick([.failure, .unacked, .phase, .lend, .option, .finish] as [Verb])
        let isTalk = chance(0.8)
        let count = pick([1, 10, 1000, 1000, 20_000, 300_000])
        steps.append(Step(actor, isTalk ? verb : other, count, pick([0, 1, 20, 200])))
      }
      steps.append(Step(actor, pick([.confirmed, .lingering, .background, .abort]), 16 << 20, pick([0, 1, 50, 300])))
      steps.append(Step(actor, .receive, 10, 20))
    }
    for _ in 0..<number(2...8) {
      steps.append(Step(.peer, pick([.send, .read, .read]), pick([1, 100, 5000, 100_000])))
    }
    steps.append(Step(.peer, pick([.read, .read, .finish, .finish, .close, .reset]), 1 << 20))
    return steps
  }

  fileprivate mutating func listenerStep() -> Step {
    let wait = pick([0, 1, 20, Step.long, Step.long])
    switch number(0...9) {
    case 0...3: return Step(.peer, .connect)
    case 4...6: return Step(.a, .accept, 0, wait)
    case 7: return Step(chance(0.5) ? .a : .b, pick([.pause, .resume, .pause, .resume, .phase]))
    case 8: return Step(.a, pick([.detach, .adopt, .cancel, .phase]))
    default: return chance(0.5) ? Step(.b, .stop) : Step(.a, pick([.abort, .resume]))
    }
  }

  fileprivate mutating func datagramStep() -> Step {
    let wait = pick([0, 1, 20, Step.long, Step.long])
    let holder: Actor = chance(0.5) ? .a : .b
    switch number(0...12) {
    case 0...3: return Step(.peer, .send, pick([0, 1, 100, 5000]))
    case 4...5: return Step(.peer, .read, 65_535)
    case 6...8: return Step(holder, .receive, pick([0, 1, 50, 65_535, 65_535]), wait)
    case 9...10: return Step(holder, .send, pick([0, 1, 100, 9000]), wait)
    case 11: return Step(holder, pick([.connect, .phase, .option, .lend, .cancel]))
    default: return Step(holder, chance(0.3) ? .abort : .phase)
    }
  }
}
