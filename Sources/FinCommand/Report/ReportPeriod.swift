import FinDoctor

/// The time of `fin report --for`: what its looks saw begin, end and grow. A pure value: it reads no clock.
///
/// Things are known by what a redaction keeps, such as processes and ports. The page gives them their names.
struct ReportPeriod: Sendable {
  /// A process; a number that is used again is another one.
  struct Process: Hashable, Sendable {
    var pid: Int32
    var started: UInt64
  }

  /// The number of things that came and left from one look to the next, in all.
  struct Flow: Hashable, Sendable {
    var came = 0
    var left = 0
  }

  /// A finding, from look to look.
  struct FindingKey: Hashable, Sendable {
    var id: FindingID
    var pid: Int32?
  }

  /// A state of TCP.
  struct State: Hashable, Sendable {
    var first = 0
    var last = 0
    var flow = Flow()
  }

  /// The longest time, in milliseconds. A longer one is for `fin record`.
  static let longest: Int64 = 3_600_000
  /// The most looks.
  static let mostLooks: Int64 = 300

  /// The time between two looks, in milliseconds: a second, less in a time of seconds and more in one of minutes.
  static func interval(for time: Int64) -> Int64 {
    time < 10_000 ? max(200, time / 10) : max(1000, time / mostLooks)
  }

  /// The time that was asked for, in milliseconds.
  let wanted: Int64
  /// Whether a signal ended it before that time was over.
  var isCutShort = false
  private(set) var looks = 0
  /// The moments of the first and the latest look by the wall clock, in nanoseconds since 1970.
  private(set) var begun: Int64 = 0
  private(set) var latest: Int64 = 0
  /// The time between the two by the monotonic clock, in milliseconds.
  private(set) var milliseconds: Int64 = 0
  private(set) var states: [SocketState: State] = [:]
  private(set) var findings: [FindingKey: Flow] = [:]
  private(set) var lives = ConnectionLives()
  private(set) var courses = Courses()
  /// The names of programs, of which some have ended before the last look.
  private(set) var names: [Process: String] = [:]

  private var first: Int64 = 0
  private var statesBefore: [UInt64: SocketState] = [:]
  private var membersBefore: [FindingKey: Set<Member>] = [:]

  /// A socket that a finding is about.
  private enum Member: Hashable {
    case inet(UInt64)
    case unix(UInt64)
    case detached(Int32, Int32)
  }

  /// - Parameter wanted: The time that was asked for, in milliseconds.
  init(wanted: Int64) { self.wanted = wanted }

  /// The time between the first look and the latest, in seconds.
  var seconds: Double { Double(milliseconds) / 1000 }

  /// A rate; 0 before the second look.
  func rate(_ count: Int) -> Double { milliseconds > 0 ? Double(count) / seconds : 0 }

  /// Takes a look.
  mutating func take(_ census: Census, _ findings: [Finding]) {
    let now = Int64(census.when.monotonic / 1_000_000)
    if looks == 0 { (first, begun) = (now, census.when.wall) }
    (milliseconds, latest) = (max(0, now - first), census.when.wall)
    for (pid, program) in census.programs { names[Process(pid: pid, started: program.started ?? 0)] = program.name }
    take(statesOf: census)
    take(findings, census)
    lives.take(census, at: now)
    courses.take(Courses.counts(of: census, findings))
    looks += 1
  }

  private mutating func take(statesOf census: Census) {
    var now: [UInt64: SocketState] = [:]
    now.reserveCapacity(census.sockets.count)
    for socket in census.sockets where socket.transport != .udp && socket.identity != 0 {
      // Both kinds are one state of RFC 9293.
      now[socket.identity] = socket.state == .newSynReceived ? .synReceived : socket.state
    }
    for state in states.keys { states[state]?.last = 0 }
    for (identity, state) in now {
      states[state, default: State()].last += 1
      if looks == 0 {
        states[state]?.first += 1
      } else if statesBefore[identity] != state {
        states[state]?.flow.came += 1
      }
    }
    for (identity, state) in statesBefore where now[identity] != state { states[state]?.flow.left += 1 }
    statesBefore = now
  }

  private mutating func take(_ all: [Finding], _ census: Census) {
    var members: [FindingKey: Set<Member>] = [:]
    for finding in all {
      let key = FindingKey(id: finding.id, pid: finding.who?.pid)
      for socket in finding.sockets {
        let member: Member =
          switch socket {
          case .inet(let place): .inet(census.sockets[place].identity)
          case .unix(let place): .unix(census.unixSockets[place].cookie)
          case .detached(let place): .detached(census.detached[place].pid, census.detached[place].descriptor)
          }
        members[key, default: []].insert(member)
      }
    }
    if looks > 0 {
      for key in Set(members.keys).union(membersBefore.keys) {
        let (old, new) = (membersBefore[key] ?? [], members[key] ?? [])
        findings[key, default: Flow()].came += new.subtracting(old).count
        findings[key]?.left += old.subtracting(new).count
      }
    }
    membersBefore = members
  }
}
