import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("Rates from two looks", .onThreads, .timeLimit(.minutes(30)))
struct WatchFlowsTests {
  private func flows(_ before: [UInt64: SocketState], _ after: [UInt64: SocketState], seconds: Double = 1) -> WatchFlows
  {
    WatchFlows(from: before, to: after, seconds: seconds)
  }

  private func rate(_ flows: WatchFlows, _ from: SocketState?, _ to: SocketState?) -> Double {
    flows.rate(
      of: .init(from: from.map { .state($0) } ?? .begin, to: to.map { .state($0) } ?? .end))
  }

  @Test("births, ends and changes are those of the sockets' own numbers, and not of counts")
  func numbers() {
    // One ended and another began: the count stays, and both are seen.
    let found = flows([1: .established, 2: .closeWait], [3: .established, 2: .lastAck], seconds: 2)
    #expect(found.passing(.established) == (1, 1) && found.passing(.closeWait) == (0, 1))
    #expect(rate(found, .closeWait, .lastAck) == 0.5)
    #expect(found.vanished.map(\.state) == [.established] && found.vanished.map(\.count) == [1])
    #expect(flows([1: .established], [1: .established]).moves.isEmpty)
  }

  @Test("a socket that jumped has taken the arrows that lie on every way, and no other")
  func jumps() {
    let closed = flows([1: .established], [1: .timeWait])
    #expect(rate(closed, .established, .finWait1) == 1)
    // By FIN-WAIT-2 or by CLOSING: the looks do not show which.
    #expect(rate(closed, .finWait1, .finWait2) == 0 && rate(closed, .finWait2, .timeWait) == 0)
    #expect(rate(closed, .finWait1, .closing) == 0 && rate(closed, .closing, .timeWait) == 0)
    let born = flows([:], [1: .established, 2: .closeWait])
    #expect(rate(born, nil, .synSent) == 0 && rate(born, nil, .synReceived) == 0)
    #expect(rate(born, .established, .closeWait) == 1)
    let connecting = flows([1: .synSent], [1: .closeWait])
    #expect(rate(connecting, .synSent, .established) == 1 && rate(connecting, .established, .closeWait) == 1)
  }

  @Test("an end is on an arrow only from LAST-ACK and TIME-WAIT; elsewhere it may be a reset")
  func ends() {
    let found = flows([1: .established, 2: .lastAck, 3: .timeWait, 4: .finWait2], [:])
    #expect(rate(found, .lastAck, nil) == 1 && rate(found, .timeWait, nil) == 1)
    #expect(rate(found, .established, .finWait1) == 0)
    #expect(Set(found.vanished.map(\.state)) == [.established, .finWait2])
  }

  @Test("every arrow of the drawing counts the socket that took it alone", arguments: WatchFlows.arrows)
  func arrows(arrow: WatchFlows.Arrow) {
    func states(_ place: WatchFlows.Place) -> [UInt64: SocketState] {
      if case .state(let state) = place { return [1: state] }
      return [:]
    }
    let found = flows(states(arrow.from), states(arrow.to), seconds: 4)
    #expect(found.rate(of: arrow) == 0.25)
    #expect(WatchFlows.arrows.count { found.rate(of: $0) > 0 } == 1)
  }

  @Test("a look has no rates before the second one; then the picture has them on its arrows")
  func looks() {
    var taking = WatchTaking(WatchChoice())
    let first = taking.look(at: WatchStage.census([1: .established, 2: .timeWait], at: 10), [])
    #expect(first.flows == nil)
    let second = taking.look(at: WatchStage.census([1: .finWait1, 3: .synReceived], at: 12), [])
    #expect(second.flows?.seconds == 2)
    let before = WatchStage.lines(WatchStage.model(first, "2"))
    let after = WatchStage.lines(WatchStage.model(second, "2"))
    #expect(before.contains { $0.contains("close ─") } && !before.contains { $0.contains("close 0.50/s") })
    #expect(after.contains { $0.contains("close 0.50/s") && $0.contains("FIN arrives 0/s") }, "\(after)")
    #expect(after.contains { $0.contains("SYN arrives 0.50/s") } && after.contains { $0.contains("gone 0.50/s") })
    #expect(after.contains { $0.contains("What lived shorter than a look is not seen.") })
  }
}

@Suite("Findings from look to look", .onThreads, .timeLimit(.minutes(30)))
struct WatchEventsTests {
  private func events(_ counts: [Int]) -> [[WatchEvent.Kind]] {
    var taking = WatchTaking(WatchChoice(only: [.closeWaitKnown]))
    return counts.map { count in
      var census = WatchStage.census(sockets: 100)
      let left = count
      census.sockets = ContiguousArray(census.sockets.filter { $0.state != .closeWait || $0.cookie <= UInt64(left) })
      return taking.look(at: census, Diagnosis.findings(in: census)).events.map(\.kind)
    }
  }

  @Test("a finding stands, began, worsened when its count has doubled, and ended")
  func kinds() {
    #expect(events([60, 60, 0, 0]) == [[.stands], [], [.ended], []])
    #expect(events([0, 20, 30, 39, 40, 60]) == [[], [.began], [], [], [.worsened], []])
  }

  @Test("a finding keeps its number while its sockets change, and two of one program are different by their ports")
  func identity() {
    func census(_ ports: [UInt16: Int], first: UInt64) -> Census {
      var census = WatchStage.census(sockets: 60)
      var rows: ContiguousArray<InetSocket> = []
      var place = 0
      for (port, count) in ports.sorted(by: { $0.key < $1.key }) {
        for _ in 0..<count {
          var socket = census.sockets[place]
          (socket.localPort, socket.cookie) = (port, first + UInt64(place))
          rows.append(socket)
          place += 1
        }
      }
      census.sockets = rows
      return census
    }
    var taking = WatchTaking(WatchChoice(only: [.closeWaitKnown]))
    func look(_ census: Census) -> WatchLook { taking.look(at: census, Diagnosis.findings(in: census)) }
    let first = look(census([8080: 20, 9090: 30], first: 1))
    #expect(first.findings.count == 2 && first.events.map(\.kind) == [.stands, .stands])
    // Other sockets on the same ports: the same findings.
    let second = look(census([8080: 21, 9090: 30], first: 5000))
    #expect(second.events.isEmpty)
    #expect(Set(second.findings.map(\.number)) == Set(first.findings.map(\.number)))
    let third = look(census([9090: 30], first: 9000))
    #expect(third.events.map(\.kind) == [.ended])
    let ended = first.findings.first { $0.finding.sentence.contains("8080") }
    #expect(third.findings.map(\.number) == first.findings.map(\.number).filter { $0 != ended?.number })
  }
}

@Suite("The pace of looks", .onThreads, .timeLimit(.minutes(30)))
struct WatchPaceTests {
  @Test("looks that take longer than the interval make it grow, and fast ones bring it back")
  func pace() {
    var pace = WatchPace(every: .seconds(1))
    pace.note(.milliseconds(999))
    #expect(pace.interval == .seconds(1))
    pace.note(.milliseconds(1500))
    #expect(pace.interval == .seconds(3))
    pace.note(.milliseconds(100))
    #expect(pace.interval == .seconds(2))
    for _ in 0..<4 { pace.note(.milliseconds(100)) }
    #expect(pace.interval == .seconds(1))
  }

  @Test("the head says that the interval has grown")
  func head() {
    var model = WatchStage.model(WatchStage.look(Census()))
    #expect(WatchStage.lines(model)[0].hasSuffix("[live 1s]"))
    model.interval = .milliseconds(2600)
    #expect(WatchStage.lines(model)[0].hasSuffix("[every 2.6s: looks are slow]"))
  }
}
