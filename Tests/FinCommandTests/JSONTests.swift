import FinBase
import FoundationEssentials
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("JSON has every value that is known, and leaves out those that are not", .onThreads)
struct JSONTests {
  private struct Age: Decodable, Equatable {
    var atLeastMilliseconds: UInt64
    var atMostMilliseconds: UInt64?
  }
  private struct Aged: Decodable { var since, oldest: Age? }

  private func decoded<Value: Decodable>(
    _ type: Value.Type = Value.self, _ body: (inout JSONWriter) -> Void
  ) throws -> Value {
    var json = JSONWriter()
    body(&json)
    return try JSONDecoder().decode(type, from: Data(json.text.bytes))
  }

  private static let ages: [(AgeBounds, Age?)] = [
    (.unknown, nil),
    (AgeBounds(atLeast: 0, atMost: 90), Age(atLeastMilliseconds: 0, atMostMilliseconds: 90)),
    (AgeBounds(atLeast: 70), Age(atLeastMilliseconds: 70)),
    (AgeBounds(atLeast: 70, atMost: 90), Age(atLeastMilliseconds: 70, atMostMilliseconds: 90)),
  ]

  @Test("the age of a finding, and of a listener's oldest client, has the bounds that are known", arguments: 0..<4)
  func ages(number: Int) throws {
    let (bounds, expected) = JSONTests.ages[number]
    let finding = FinDoctor.Finding(
      .closeWaitKnown, .warning, Rule.closeWaitKnown.claims[0], count: 1, since: bounds, sentence: "", facts: [])
    #expect(try decoded(Aged.self) { CheckJSON.write(finding, 0, to: &$0) }.since == expected)
    let aged = try decoded(Aged.self) { json in json.object { $0.write("oldest", since: bounds) } }
    #expect(aged.oldest == expected)
  }

  @Test("fin list: a client that has just come has an age with an upper bound alone")
  func newcomer() throws {
    var socket = InetSocket()
    socket.state = .established
    (socket.info.lastAcknowledgementReceived, socket.info.lastDataReceived) = (3, 3)
    socket.info.bytesReceived = 0
    let listing = Listing(Census(sockets: [socket]))
    try #require(socket.isWaitingForAccept && listing.since(0).lower == 0 && listing.since(0).atMost != nil)
    let listed = try decoded(Aged.self) { ListJSON.write(.inet(0), of: listing, to: &$0) }
    #expect(listed.since == Age(atLeastMilliseconds: 0, atMostMilliseconds: listing.since(0).upper))
  }

  @Test("a share of a limit is written in percent; one that is unknown or no number is left out")
  func percent() throws {
    struct Filled: Decodable { var percent: Int? }
    for (share, percent) in [(0.954, 95), (1, 100), (0, 0), (nil, nil), (.nan, nil)] as [(Double?, Int?)] {
      let finding = FinDoctor.Finding(
        .descriptorLimit, .warning, Rule.descriptorLimit.claims[0], count: 1, sentence: "", facts: [], share: share)
      #expect(try decoded(Filled.self) { CheckJSON.write(finding, 0, to: &$0) }.percent == percent)
    }
  }

  @Test("a string with any character is read back as it was")
  func strings() throws {
    for text in (0...0x17f as ClosedRange<UInt32>).map({ "a\(Character(Unicode.Scalar($0)!))9" }) {
      #expect(try decoded([String].self) { json in json.array { $0.write(string: text) } } == [text])
    }
  }

  @Test("a published socket has the time for which it has been open, and none where its opening lies in the future")
  func opened() throws {
    struct Listed: Decodable {
      struct Published: Decodable { var openedMilliseconds: UInt64? }
      var published: Published
    }
    for (opened, expected) in [(3_000_000_000, 4000), (7_000_000_000, 0), (nil, nil)] as [(UInt64?, UInt64?)] {
      var socket = InetSocket()
      (socket.state, socket.inode) = (.established, 7)
      let holder = Holder(inode: 7, pid: 50, descriptor: 3)
      var census = Census(sockets: [socket], holders: Holders(sockets: [holder]))
      var published = PublishedSocket(file: "a/b.swift", line: 3, phase: .connected)
      published.opened = opened
      var ledger = ProgramLedger(when: 7_000_000_000)
      ledger.sockets[3] = published
      census.ledgers[50] = ledger
      let listing = Listing(census)
      let listed = try decoded(Listed.self) { ListJSON.write(.inet(0), of: listing, to: &$0) }
      #expect(listed.published.openedMilliseconds == expected)
    }
  }
}
