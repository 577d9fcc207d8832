import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Receiving up to a delimiter, and lines", .onThreads)
struct Delimiters {
  /// Runs `body` with a stream on which these bytes have arrived, and whose peer has finished if `finished` is set.
  private func holding(
    _ text: String, finished: Bool = false, _ body: (borrowing Connection, borrowing Connection) throws -> Void
  ) throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send(text)
    if finished {
      let shared = pair.first.share()
      try shared.finishSending()
      let other = try Connection.pair()
      try body(pair.second, other.first)
      other.first.abort()
      other.second.abort()
      shared.abort()
    } else {
      try body(pair.second, pair.first)
      pair.first.abort()
    }
    pair.second.abort()
  }

  @Test(
    "a delimiter is found wherever its bytes are split between two system calls",
    arguments: ["\n", "--", "\r\n\r\n", "aab"])
  func split(delimiter: String) throws {
    let first = "aaa-\r\n-a a\r\n\ra"
    let second = "tail"
    let whole = first + delimiter + second + delimiter
    // The first occurrence in the text counts, even if that is not the delimiter that was appended.
    let expected = whole.utf8Prefix(before: delimiter)
    for cut in 1..<whole.utf8.count {
      try holding(whole) { connection, _ throws in
        let script = Script(.first(.recv, .limit(cut)))
        try scripted(script) { () throws in
          #expect(try connection.receive(until: Array(delimiter.utf8)) == Array(expected.utf8), "cut at \(cut)")
        }
      }
    }
  }

  @Test(
    "a delimiter that arrives one byte per call is found, and the bytes after it are not lost",
    arguments: ["\n", "--", "\r\n\r\n", "aab"])
  func bytewise(delimiter: String) throws {
    try holding("xyz" + delimiter + delimiter + "more") { connection, _ throws in
      try scripted(Script(.every(.recv, .limit(1)))) { () throws in
        #expect(try connection.receive(until: Array(delimiter.utf8)) == Array("xyz".utf8))
        #expect(try connection.receive(until: Array(delimiter.utf8)) == [])
        #expect(try connection.receive(exactly: 4) == Array("more".utf8))
      }
    }
  }

  @Test(
    "a delimiter exactly at the limit is found; one byte more is an error, and the bytes stay readable",
    arguments: [1, 2, 100])
  func limit(call: Int) throws {
    let script = Script(.every(.recv, .limit(call)))
    try holding("12345--67890--") { connection, _ throws in
      try scripted(script) { () throws in
        #expect(try connection.receive(until: Array("--".utf8), limit: 5) == Array("12345".utf8))
        let error = try refusal { () throws(SocketError) in
          try connection.receive(until: Array("--".utf8), limit: 4)
        }
        #expect(error.cause == .limit("limit", 4))
        #expect(try connection.receive(until: Array("--".utf8), limit: 5) == Array("67890".utf8))
      }
    }
    // With a limit of 0 only a line that consists of the delimiter alone fits.
    try holding("\n\nx\n") { connection, _ throws in
      try scripted(script) { () throws in
        #expect(try connection.receive(until: 0x0A, limit: 0) == [])
        #expect(try connection.receive(until: 0x0A, limit: 0) == [])
        let error = try refusal { () throws(SocketError) in try connection.receive(until: 0x0A, limit: 0) }
        #expect(error.cause == .limit("limit", 0))
        #expect(try connection.receive(upTo: 9)?.first == UInt8(ascii: "x"))
      }
    }
  }

  @Test("receiving to a delimiter: the largest limit, an empty delimiter, a negative limit")
  func arguments() throws {
    try holding("ab\n") { connection, _ throws in
      for wrong in [-1, .min] {
        let error = try refusal { () throws(SocketError) in try connection.receive(until: 0x0A, limit: wrong) }
        guard case .invalid = error.cause else { throw RigError("\(error)") }
        let line = try refusal { () throws(SocketError) in try connection.receiveLine(limit: wrong) }
        guard case .invalid = line.cause else { throw RigError("\(line)") }
      }
      let empty = try refusal { () throws(SocketError) in try connection.receive(until: []) }
      guard case .invalid = empty.cause else { throw RigError("\(empty)") }
      #expect(try connection.receive(until: 0x0A, limit: .max) == Array("ab".utf8))
    }
    try holding("ab\r\n") { connection, _ throws in #expect(try connection.receiveLine(limit: .max) == "ab") }
  }

  @Test("EOF before the delimiter: nil before the first byte, endOfStream after it, and the bytes stay readable")
  func end() throws {
    try holding("", finished: true) { connection, _ throws in
      #expect(try connection.receive(until: 0x0A) == nil)
      #expect(try connection.receiveLine() == nil)
      #expect(try connection.receiveLine() == nil)
    }
    try holding("one\ntwo", finished: true) { connection, _ throws in
      #expect(try connection.receiveLine() == "one")
      for _ in 0..<2 {
        let error = try refusal { () throws(SocketError) in try connection.receiveLine() }
        #expect(error.cause == .endOfStream(received: 3))
        let same = try refusal { () throws(SocketError) in try connection.receive(until: 0x0A) }
        #expect(same.cause == .endOfStream(received: 3))
      }
      #expect(try connection.receive(upTo: 100) == Array("two".utf8))
      #expect(try connection.receiveLine() == nil)
    }
  }

  @Test("lines end with \\n or \\r\\n; a lone \\r is no end")
  func lines() throws {
    try holding("one\ntwo\r\n\r\n\nthr\ree\r\r\nend\n") { connection, _ throws in
      for line in ["one", "two", "", "", "thr\ree\r", "end"] { #expect(try connection.receiveLine() == line) }
    }
  }

  @Test("a line exactly at its limit is read, with either line end; one byte more is an error", arguments: [1, 3, 100])
  func lineLimit(call: Int) throws {
    try holding("12345\n12345\r\n123456\n") { connection, _ throws in
      try scripted(Script(.every(.recv, .limit(call)))) { () throws in
        #expect(try connection.receiveLine(limit: 5) == "12345")
        #expect(try connection.receiveLine(limit: 5) == "12345")
        for _ in 0..<2 {
          let error = try refusal { () throws(SocketError) in try connection.receiveLine(limit: 5) }
          #expect(error.cause == .limit("line limit", 5))
        }
        #expect(try connection.receiveLine(limit: 6) == "123456")
      }
    }
  }

  @Test("a line one byte beyond its limit is an error, even if the peer goes silent or finishes there")
  func overAndSilent() throws {
    try holding("123456") { connection, _ throws in
      let error = try refusal { () throws(SocketError) in try connection.receiveLine(limit: 5, within: .seconds(10)) }
      #expect(error.cause == .limit("line limit", 5))
      #expect(try connection.receive(upTo: 9) == Array("123456".utf8))
    }
    try holding("123456", finished: true) { connection, _ throws in
      #expect(
        try refusal { () throws(SocketError) in try connection.receiveLine(limit: 5) }.cause == .limit("line limit", 5))
    }
    // After a \r the sixth byte may be part of the end of a five-byte line.
    try holding("12345\r") { connection, peer throws in
      let error = try refusal { () throws(SocketError) in try connection.receiveLine(limit: 5, within: .milliseconds(5))
      }
      #expect(error.cause == .timedOut)
      try peer.send("\n")
      #expect(try connection.receiveLine(limit: 5) == "12345")
    }
  }

  @Test("a line that is not UTF-8 is an error, and stays readable as bytes")
  func notText() throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send([0xFF, 0x41, 0x0A, 0x42, 0x0A])
    for _ in 0..<2 {
      #expect(try refusal { () throws(SocketError) in try pair.second.receiveLine() }.cause == .notText)
    }
    #expect(try pair.second.receive(until: 0x0A) == [0xFF, 0x41])
    #expect(try pair.second.receiveLine() == "B")
    pair.first.abort()
    pair.second.abort()
  }

  @Test("characters of several bytes, split across system calls, arrive whole")
  func cutLetters() throws {
    try holding("Ärger 日本 🏁\n") { connection, _ throws in
      try scripted(Script(.every(.recv, .limit(1)))) { () throws in
        #expect(try connection.receiveLine() == "Ärger 日本 🏁")
      }
    }
  }

  @Test("a timeout in the middle of a line does not lose the line", .faults(61))
  func timeIsUp() throws {
    try holding("half a ") { connection, peer throws in
      let error = try refusal { () throws(SocketError) in try connection.receiveLine(within: .milliseconds(5)) }
      #expect(error.cause == .timedOut)
      try peer.send("line\n")
      #expect(try connection.receiveLine() == "half a line")
    }
  }

  @Test("ten thousand short lines in one buffer are read in order")
  func manyLines() throws {
    let pair = try Connection.pair()
    let text = (0..<10_000).map { "\($0)\n" }.joined()
    let sender = onThread(taking: pair.first) { first in
      try first.send(text)
      return first.close()
    }
    for number in 0..<10_000 where try pair.second.receiveLine() != "\(number)" { Issue.record("line \(number)") }
    #expect(try pair.second.receiveLine() == nil)
    pair.second.close()
    #expect(try sender.join().isDelivered)
  }
}

extension String {
  fileprivate func utf8Prefix(before delimiter: String) -> String {
    let mine = Array(utf8)
    let theirs = Array(delimiter.utf8)
    var position = 0
    while position + theirs.count <= mine.count, Array(mine[position..<position + theirs.count]) != theirs {
      position += 1
    }
    return String(decoding: mine[..<position], as: UTF8.self)
  }
}
