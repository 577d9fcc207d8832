import FinDoctor
import FinTerminal

/// The text of `fin explain`, `fin listeners` and `fin ports` about one subject of a census.
struct WatchExplanation {
  private let terminal: Terminal
  private let census: Census
  private let findings: [Finding]
  /// The record that the census comes from; nil for the running machine, of which more may be read.
  private let record: CensusRecord?

  init(columns: Int, _ census: Census, _ findings: [Finding], from record: CensusRecord? = nil) {
    self.record = record
    terminal = Terminal(hasColour: false, page: columns)
    self.census = census
    self.findings = findings
  }

  /// The lines about a subject; a sentence if it is not there any more.
  func lines(about subject: WatchSubject) -> [String] {
    switch subject {
    case .budget(let route):
      guard let budget = PortBudget.all(in: census).first(where: { $0.route == route }) else {
        return ["No socket uses this route any more."]
      }
      let report = PortsReport(
        looks: CensusPair(census: census, earlier: nil), budgets: [budget], matching: 1, over: nil)
      return Self.split(PortsText(terminal: terminal).report(report))
    case .socket(let identity):
      guard let index = census.sockets.firstIndex(where: { $0.identity == identity }) else {
        return ["The socket has ended: no table lists it any more."]
      }
      return story(.inet(index))
    case .unix(let cookie):
      guard let index = census.unixSockets.firstIndex(where: { $0.cookie == cookie }) else {
        return ["The socket has ended: no table lists it any more."]
      }
      return story(.unix(index))
    case .descriptor(let pid, let number):
      guard let index = census.detached.firstIndex(where: { $0.pid == pid && $0.descriptor == number }) else {
        return ["The descriptor is closed, or its socket is in a table again."]
      }
      return story(.detached(index))
    }
  }

  private func story(_ socket: SocketReference) -> [String] {
    var census = census
    if record == nil { census.watch(Set(census.holders[census.inode(of: socket)].map(\.pid))) }
    let readings = record?.details(of: socket) ?? SocketDetails.read(socket, in: census, readsOptions: false)
    let life = SocketExplanation(of: socket, in: census, readings, findings: findings)
    var lines = queue(of: socket, in: census)
    lines += Self.split(ExplainText(terminal: terminal).story(of: life, in: census, matched: nil))
    return lines + readings.hidden.map { "Not seen: \($0)" }
  }

  /// The accept queue of a listener, as `fin listeners --details` shows it.
  private func queue(of socket: SocketReference, in census: Census) -> [String] {
    let place: ListenerOverview.Place
    switch socket {
    case .inet(let index) where census.sockets[index].state == .listen: place = .inet(index)
    case .unix(let index) where census.unixSockets[index].state == .listen: place = .unix(index)
    case .inet, .unix, .detached: return []
    }
    guard let overview = ListenerOverview.all(in: census).first(where: { $0.place == place }) else { return [] }
    let text = ListenersText(terminal: terminal, census: census, isDetailed: true, isSecondLook: false)
    return Self.split(text.report([overview], matching: 1)) + [""]
  }

  private static func split(_ text: String) -> [String] {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    while lines.last?.isEmpty == true { lines.removeLast() }
    return lines
  }
}
