import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A published ledger shows other processes which line opened a socket, and its phase", .onThreads)
struct Published {
  /// Runs `body` with a new, published ledger and a reader of it.
  private func with(_ body: (Ledger, LedgerReader) throws -> Void) throws {
    let ledger = Ledger()
    try ledger.publish()
    let reader = try #require(LedgerReader(ledger))
    try Ledger.$current.withValue(ledger) { try body(ledger, reader) }
  }

  @Test("a socket appears with its line, changes with its phase, and disappears before its number is reused")
  func life() throws {
    try with { _, reader in
      #expect(reader.records.isEmpty)
      let listener = try Listener.bind(.loopback(port: 0))
      let listening = try #require(reader.records.first)
      #expect(reader.records.count == 1)
      #expect(listening.file == "FinTests/PublishedTests.swift" && listening.line == #line - 3)
      #expect(listening.kind == 2 && listening.phase == .listening)
      #expect(try listener.cookie() == listening.cookie)

      let client = try Connection.connect(to: listener.localAddress)
      let number = client.reference.core.number
      let connected = try #require(reader[number])
      let cookie = try client.cookie()
      #expect(connected.kind == 3 && connected.phase == .connected && cookie == connected.cookie)
      #expect(connected.opened <= UInt64(Fin.Instant.now.nanoseconds) && connected.opened >= listening.opened)
      let served = try listener.accept()
      let half = client.finishSending()
      #expect(reader[number]?.phase == .sendFinished)
      #expect(try served.receive(upTo: 1) == nil)
      #expect(reader[served.reference.core.number]?.phase == .peerFinished)
      served.close()
      half.close()
      #expect(reader.records.count == 1)
      listener.close()
      #expect(reader.records.isEmpty)
    }
  }

  @Test("sockets opened earlier are published too, with their declared intent; a second publish changes nothing")
  func later() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let pair = try Connection.pair()
      pair.first.declare(.pooled, for: .seconds(60))
      #expect(ledger.openSockets().map(\.intent) == [.pooled, []])
      try ledger.publish()
      let number = try #require(ledger.published?.number)
      try ledger.publish()
      #expect(ledger.published?.number == number && ledger.isPublished)
      let records = LedgerReader(number).records
      #expect(records.map(\.intent) == [8, 0] && records.allSatisfy { $0.phase == .connected && $0.cookie != 0 })
      pair.first.close(.abort)
      pair.second.close(.abort)
      #expect(LedgerReader(number).records.isEmpty)
    }
  }

  @Test("a socket that gets the place of a closed one does not get its declared intent", arguments: [false, true])
  func declarationEnds(isPublished: Bool) throws {
    let ledger = Ledger()
    if isPublished { try ledger.publish() }
    try Ledger.$current.withValue(ledger) {
      let earlier = try Connection.pair()
      let cookies: [UInt64?] = [try earlier.first.cookie(), try earlier.second.cookie()]
      earlier.first.declare(.pooled, for: .seconds(60))
      earlier.second.declare(.idle, for: .seconds(60))
      let places = Set([earlier.first.reference.core.record.slot, earlier.second.reference.core.record.slot])
      earlier.first.close(.abort)
      earlier.second.close(.abort)
      let pair = try Connection.pair()
      #expect(Set([pair.first.reference.core.record.slot, pair.second.reference.core.record.slot]) == places)
      #expect(ledger.openSockets().map(\.intent) == [[], []])
      #expect(ledger.openSockets().allSatisfy { !cookies.contains($0.cookie) })
      try ledger.publish()
      let records = try #require(LedgerReader(ledger)).records
      #expect(records.count == 2 && records.allSatisfy { $0.intent == 0 && $0.intentEnds == 0 })
      pair.first.close(.abort)
      pair.second.close(.abort)
    }
  }

  @Test("the header describes the layout, and the file can neither shrink nor be sealed further")
  func header() throws {
    try with { _, reader in
      #expect(reader.word(0) == 0x7267_646c_2d6e_6966)
      #expect([8, 12, 16, 20].map(reader.half) == [1, 128, 128, UInt32(getpid())])
      #expect(reader.capacity == 512 && reader.count == 0 && reader.size == 513 * 128)
      let link = try readLink("/proc/self/fd/\(reader.number)")
      #expect(link.hasPrefix("/memfd:fin-ledger"))
      #expect(ftruncate(reader.number, 0) == -1)
      // F_GET_SEALS: F_SEAL_SEAL and F_SEAL_SHRINK, and possibly F_SEAL_EXEC.
      #expect(fcntl(reader.number, 1034) & 3 == 3)
      #expect(fcntl(reader.number, F_GETFD) & FD_CLOEXEC != 0)
    }
  }

  private func readLink(_ path: String) throws -> String {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), 256)
    }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  @Test("a file name that is too long keeps its end, from a whole character on")
  func names() throws {
    try with { _, reader in
      let pair = try Connection.pair(
        file: "AModuleWithALongName/über/ÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜ/Handler.swift", line: 7)
      let file = try #require(reader.records.first?.file)
      #expect(
        file.hasPrefix("...") && file.hasSuffix("Ü/Handler.swift") && file.utf8.count <= 64 && file.utf8.count > 60)
      #expect(!file.unicodeScalars.contains("\u{FFFD}"))
      pair.first.close(.abort)
      pair.second.close(.abort)
    }
  }

  @Test("more sockets than the file has room for: it grows, and existing records stay where they are")
  func growth() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        DescriptorTable.raiseLimit(to: 4096)
        try Ledger.current.publish()
        let reader = LedgerReader(Ledger.current)!
        var pairs: [(SharedConnection, SharedConnection)] = []
        func open() throws {
          let pair = try Connection.pair()
          pairs.append((pair.first.share(), pair.second.share()))
        }
        try open()
        let first = reader.records
        for _ in 0..<700 { try open() }
        precondition(reader.capacity == 1536 && reader.count == 1402 && reader.size == 1537 * 128)
        let (records, unsettled) = reader.look()
        precondition(records.count == 1402 && unsettled == 0 && Array(records.prefix(2)) == first)
        precondition(Set(records.map(\.cookie)).count == 1402)
        for pair in pairs { _ = (pair.0.abort(), pair.1.abort()) }
        precondition(reader.records.isEmpty)
        // Slots are reused.
        try open()
        precondition(reader.count == 1402 && reader.records.count == 2)
      }
    }
  }

  @Test("a file that cannot grow counts the sockets without a record, and those sockets work as usual")
  func withoutRoom() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        DescriptorTable.raiseLimit(to: 4096)
        try Ledger.current.publish()
        let reader = LedgerReader(Ledger.current)!
        var pairs: [(SharedConnection, SharedConnection)] = []
        try Seam.$script.withValue(Script(.every(.fallocate, .fail(.noSpace)))) {
          for _ in 0..<300 {
            let pair = try Connection.pair()
            pairs.append((pair.first.share(), pair.second.share()))
          }
        }
        precondition(reader.records.count == 512 && reader.word(40) == 88)
        try pairs[299].0.send("x")
        pairs[299].0.declare(.idle, for: .seconds(1))
        let heard = try pairs[299].1.receive(upTo: 1)
        precondition(heard == [UInt8(ascii: "x")])
        for pair in pairs { _ = (pair.0.abort(), pair.1.abort()) }
        precondition(reader.records.isEmpty)
      }
    }
  }

  @Test("eight threads open, change and close while another reads: no record is ever a mixture of two writes")
  func threads() throws {
    try with { ledger, reader in
      let over = Flag()
      let reading = onThread { () -> (Int, [String]) in
        var (seen, mixtures) = (0, [String]())
        while !over.isSet {
          for record in reader.records {
            seen += 1
            // Each thread uses a file name, a line and a declared time of its own.
            let thread = UInt64(record.line) / 1000
            let isWhole =
              record.file == "Threads/Number\(thread).swift" && record.kind == 3
              && (record.intentEnds == 0 || record.intent == UInt8(thread)) && record.phase != nil
            if !isWhole { mixtures.append("\(record)") }
          }
        }
        return (seen, mixtures)
      }
      let files: [StaticString] = [
        "Threads/Number0.swift", "Threads/Number1.swift", "Threads/Number2.swift", "Threads/Number3.swift",
        "Threads/Number4.swift", "Threads/Number5.swift", "Threads/Number6.swift", "Threads/Number7.swift",
      ]
      let writers = (0..<8).map { number in
        onThread {
          try Ledger.$current.withValue(ledger) {
            for _ in 0..<400 {
              let pair = try Connection.pair(file: files[number], line: UInt(number) * 1000 + 5)
              pair.first.declare(SocketIntent(rawValue: UInt8(number)), for: .seconds(number + 1))
              let half = pair.first.finishSending()
              pair.second.close(.abort)
              half.close(.abort)
            }
          }
        }
      }
      for writer in writers { try writer.join(within: .seconds(60)) }
      over.set()
      let (seen, mixtures) = try reading.join(within: .seconds(60))
      #expect(mixtures.isEmpty, "\(mixtures.prefix(3))")
      #expect(seen > 0 && ledger.counts.opened == 6400)
      #expect(reader.records.isEmpty)
    }
  }

  @Test("two ledgers of one process are two files")
  func two() throws {
    try with { _, first in
      let outer = try Connection.pair()
      try with { _, second in
        let inner = try Connection.pair()
        #expect(first.records.count == 2 && second.records.count == 2)
        #expect(Set(first.records.map(\.cookie)).isDisjoint(with: second.records.map(\.cookie)))
        inner.first.close(.abort)
        inner.second.close(.abort)
      }
      outer.first.close(.abort)
      outer.second.close(.abort)
    }
  }
}
