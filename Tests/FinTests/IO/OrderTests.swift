import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Random chunks and random verbs: no byte is lost, doubled or moved", .onThreads)
struct StreamOrder {
  /// The bytes that were sent and not yet received. Checks every byte that is received.
  fileprivate struct Model {
    var outstanding: [UInt8] = []
    var taken = 0

    mutating func take(_ bytes: [UInt8], _ verb: String) throws {
      guard outstanding.prefix(bytes.count).elementsEqual(bytes) else {
        throw RigError("\(verb) gave the wrong bytes after \(taken)")
      }
      outstanding.removeFirst(bytes.count)
      taken += bytes.count
    }
  }

  @Test("a random sequence of sends and receives delivers every byte once and in order", .faults(59), arguments: 0..<24)
  func random(seed: Int) throws {
    var dice = Dice(seed: UInt64(seed) &* 7919 &+ 1)
    let kind = StreamKind.all[seed % StreamKind.all.count]
    let pair = try kind.connected()
    var model = Model()
    var script = Script()
    for step in 0..<600 {
      if step % 50 == 0 {
        // Occasionally `recv` is limited to a few bytes.
        script =
          Bool.random(using: &dice) ? Script() : Script(.every(.recv, .limit(Int.random(in: 1...40, using: &dice))))
      }
      if Bool.random(using: &dice), model.outstanding.count < 60_000 {
        var chunk = pattern(Int.random(in: 0...400, using: &dice), seed: dice.next())
        // Line ends and delimiters are frequent enough to occur.
        for index in chunk.indices where chunk[index] < 24 { chunk[index] = chunk[index] < 12 ? 0x0A : 0x0D }
        try pair.first.send(chunk)
        model.outstanding += chunk
        if kind != .unix, kind != .pair { try awaitArrival(pair.second, model) }
      } else {
        try scripted(script) { () throws in try receive(pair.second, &model, &dice) }
      }
    }
    let first = pair.first.finishSending()
    var rest: [UInt8] = []
    while let more = try pair.second.receive(upTo: 333) { rest += more }
    try model.take(rest, "the rest")
    #expect(model.outstanding.isEmpty)
    #expect(model.taken > 5000)
    first.abort()
    pair.second.abort()
  }

  /// Waits for the bytes to arrive. Loopback delivers before `send` returns, except where the kernel batches.
  private func awaitArrival(_ connection: borrowing Connection, _ model: Model) throws {
    let expected = UInt64(model.taken + model.outstanding.count)
    try eventually("the bytes") { try connection.tcpInfo()?.bytesReceived ?? expected >= expected }
  }

  private func receive(_ connection: borrowing Connection, _ model: inout Model, _ dice: inout Dice) throws {
    let size = Int.random(in: 1...500, using: &dice)
    do throws(SocketError) {
      let verb = Int.random(in: 0..<6, using: &dice)
      switch verb {
      case 0:
        let bytes = try connection.receive(upTo: size, within: .zero) ?? []
        try model.check(bytes, "upTo")
      case 1:
        let bytes = try connection.receive(exactly: size, within: .zero) ?? []
        try model.check(bytes, "exactly", count: size)
      case 2:
        let delimiter: [UInt8] = Bool.random(using: &dice) ? [0x0A] : [0x0D, 0x0A]
        if let bytes = try connection.receive(until: delimiter, limit: size, within: .zero) {
          try model.check(bytes + delimiter, "until")
        }
      case 3:
        if let line = try connection.receiveLine(limit: size, within: .zero) {
          let bytes = Array(line.utf8)
          let next = model.outstanding.dropFirst(bytes.count).first
          try model.check(bytes + (next == 0x0D ? [0x0D, 0x0A] : [0x0A]), "readLine")
        }
      case 4:
        let bytes = try connection.peek(upTo: size, within: .zero) ?? []
        if !model.outstanding.starts(with: bytes) { throw SocketError(.receive, .invalid("peek gave the wrong bytes")) }
      default:
        var storage = [UInt8](repeating: 0, count: size)
        var count = 0
        let outcome = unsafe storage.withUnsafeMutableBytes { buffer -> Result<Void, SocketError> in
          var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
          do throws(SocketError) { count = try connection.receive(into: &output, within: .zero) } catch {
            return .failure(error)
          }
          return .success(())
        }
        try outcome.get()
        try model.check(Array(storage.prefix(count)), "into")
      }
    } catch {
      switch error.cause {
      case .timedOut, .limit, .notText: break
      default: throw error
      }
    }
  }
}

extension StreamOrder.Model {
  /// Checks the bytes that a verb returned, and reports a mismatch as an error of that verb.
  fileprivate mutating func check(_ bytes: [UInt8], _ verb: String, count: Int? = nil) throws(SocketError) {
    if let count, !bytes.isEmpty, bytes.count != count {
      throw SocketError(.receive, .invalid("\(verb) gave \(bytes.count) bytes for \(count)"))
    }
    do { try take(bytes, verb) } catch { throw SocketError(.receive, .invalid("\(error)")) }
  }
}
