import TestTraits
import Testing

@testable import FinDoctor

@Suite("History: intervals from looks", .onThreads)
struct SpansTests {
  private func socket(_ cookie: UInt64, _ state: SocketState = .established, pid: Int32? = 7, started: UInt64 = 70)
    -> Observed
  {
    var one = Observed(.init(cookie, isUnix: false), kind: 6, state: state)
    one.inode = UInt32(cookie) + 1000
    if let pid { one.owners = [.init(pid: pid, started: started, descriptor: 3)] }
    return one
  }

  @Test("a socket has one interval as long as state and owners stay, with its longest queues")
  func extends() {
    var spans = Spans()
    var long = socket(1)
    long.receiveQueue = 50
    #expect(spans.look([socket(1)], at: 1000).opened.map(\.row) == [1])
    for (moment, seen) in [(2000, long), (3000, socket(1))] as [(Int64, Observed)] {
      let changes = spans.look([seen], at: moment)
      #expect(changes.opened.isEmpty && changes.closed.isEmpty)
    }
    let end = spans.look([], at: 4000)
    #expect(end.closed.map(\.ending) == [.closed] && end.closed[0].span.observed.receiveQueue == 50)
    #expect(spans.open.isEmpty && spans.newest == 1)
  }

  @Test("another state ends the interval and begins the next one")
  func states() {
    var spans = Spans()
    _ = spans.look([socket(1)], at: 0)
    let changes = spans.look([socket(1, .closeWait)], at: 10_000)
    #expect(changes.closed.map(\.ending) == [.otherState] && changes.closed[0].span.row == 1)
    #expect(changes.opened.map(\.row) == [2] && changes.opened[0].observed.state == .closeWait)
    #expect(spans.openRows == [2])
  }

  @Test("another owner ends it, also one that has the same number and another start")
  func owners() {
    var spans = Spans()
    _ = spans.look([socket(1), socket(2), socket(3)], at: 0)
    let changes = spans.look([socket(1, pid: 8), socket(2, started: 71), socket(3)], at: 10_000)
    #expect(changes.closed.map(\.ending) == [.otherOwners, .otherOwners])
    #expect(changes.closed.map(\.span.row) == [1, 2] && spans.openRows == [3, 4, 5])
  }

  @Test("a socket that is gone with its process counts as ended with it, and another one as closed")
  func endings() {
    var spans = Spans()
    _ = spans.look([socket(1, pid: 7), socket(2, pid: 8), socket(3, pid: nil)], at: 0)
    let changes = spans.look([], at: 1) { $0.pid == 7 }
    #expect(changes.closed.map(\.ending) == [.closed, .processEnded, .closed])
  }

  @Test("the time in a state is bounded by looks, and by the kernel where no look was before")
  func ages() throws {
    var spans = Spans()
    var old = socket(1)
    old.since = AgeBounds(atLeast: 5000, atMost: 9000)
    #expect(spans.look([old], at: 100_000).opened[0].since == old.since)
    #expect(spans.look([old, socket(2)], at: 110_000).opened[0].since == nil)
    let first = try #require(spans.open[.init(1, isUnix: false)])
    let second = try #require(spans.open[.init(2, isUnix: false)])
    #expect(first.age(at: 120_000) == AgeBounds(atLeast: 25_000, atMost: 29_000))
    #expect(second.age(at: 120_000) == AgeBounds(atLeast: 10_000, atMost: 20_000))
  }

  @Test("a new file gets a row for every interval that goes on, from 1, in the same order")
  func newFile() {
    var spans = Spans()
    _ = spans.look([socket(1), socket(2), socket(3)], at: 0)
    _ = spans.look([socket(2), socket(3)], at: 10_000)
    let changes = spans.beginFile()
    #expect(changes.opened.map(\.row) == [1, 2] && changes.opened.map(\.observed.key.identity) == [2, 3])
    #expect(changes.opened[0].since == AgeBounds(atLeast: 10_000))
    #expect(spans.look([socket(3), socket(4)], at: 20_000).closed.map(\.span.row) == [1])
    #expect(spans.openRows == [2, 3])
  }

  @Test("two rows of one key count once, and a Unix socket is another one than a TCP socket of the same number")
  func keys() {
    var spans = Spans()
    let unix = Observed(.init(1, isUnix: true), kind: 1001, state: .listen)
    #expect(spans.look([socket(1), socket(1, .closeWait), unix], at: 0).opened.count == 2)
  }

  @Test("a list of rows comes back as it was, and a damaged one without what is behind the damage")
  func rowLists() {
    for rows in [[], [1], [1, 2, 3, 200, 100_000, 1 << 40]] as [[Int64]] {
      #expect(RowList.unpacked(RowList.packed(rows)) == rows)
    }
    #expect(RowList.unpacked([1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]) == [1])
  }
}
