import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("TCP_USER_TIMEOUT, the kernel's limit for unacknowledged bytes, follows the send timeout", .onThreads)
struct SendLimits {
  private static let short = Timeouts(send: .milliseconds(300))

  /// More than both sides' buffers hold together.
  private static let plenty = [UInt8](repeating: 7, count: 24 << 20)

  @Test(
    "the send timeout does not end a connect attempt: the kernel's limit is set once connected",
    arguments: [nil, Place.loop])
  func notBefore(place: Place?) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let shared = try SharedConnection(unconnected: .ipv4, timeouts: SendLimits.short)
    let before = Kept<Duration>()
    let script = Script(.first(.connect, .before { before.value = try? shared.option(.userTimeout) }))
    if let place {
      try inTask(on: place) {
        try await Seam.$script.withValue(script) { try await shared.connect(to: address, within: .seconds(10)) }
      }
    } else {
      try scripted(script) { try shared.connect(to: address, within: .seconds(10)) }
    }
    #expect(before.value == .zero)
    #expect(try shared.option(.userTimeout) == .milliseconds(300))
    shared.abort()
    listener.close()
  }

  @Test("an unanswered connect lasts as long as the call's timeout, however short the send timeout is")
  func attempt() throws {
    let listener = try Listener.bind(.loopback(port: 0), backlog: 0)
    let address = listener.localAddress
    // When a queue is full, the kernel drops a new SYN without an answer.
    var queued: [SharedConnection] = []
    while let one = try? Connection.connect(to: address, within: .milliseconds(200)) { queued.append(one.share()) }
    let time = try elapsed {
      let error = try refusal { () throws(SocketError) in
        try Connection.connect(to: address, within: .milliseconds(1800), timeouts: SendLimits.short)
      }
      #expect(error.cause == .timedOut, "\(error)")
    }
    #expect(time >= .milliseconds(1800))
    for connection in queued { connection.abort() }
    listener.close()
  }

  /// How a test sets the longer timeout.
  enum Longer: String, CaseIterable, Sendable { case call, times }

  private func send(_ ours: SharedConnection, _ longer: Longer, _ place: Place?) throws -> SocketError {
    var ours = ours
    if longer == .times { ours.timeouts.send = .seconds(3) }
    let within: Timeout = longer == .times ? .default : .seconds(3)
    let end = ours
    if let place {
      return try errand(on: place) { try await end.send(SendLimits.plenty, within: within) }.refusal()
    }
    return try refusal { () throws(SocketError) in try end.send(SendLimits.plenty, within: within) }
  }

  @Test(
    "a longer send timeout holds against a peer that does not read, and the accepted bytes then arrive",
    arguments: [nil, Place.loop], Longer.allCases)
  func longer(place: Place?, longer: Longer) throws {
    let (ours, plain) = try openStrangers(timeouts: SendLimits.short)
    let time = try elapsed {
      let error = try send(ours, longer, place)
      #expect(error.cause == .timedOut, "\(error)")
      #expect(error.bytesAccepted > 0)
      let accepted = error.bytesAccepted
      let reading = onThread {
        var count = 0
        while count < accepted { count += try plain.receive(upTo: 1 << 20).count }
        return count
      }
      #expect(try reading.join() == accepted)
    }
    #expect(time >= .seconds(3))
    #expect(try ours.failure() == nil)
    #expect(try ours.option(.userTimeout) == .seconds(3), "what was accepted under the longer time keeps it")
    ours.abort()
  }

  @Test("a send timeout that no call made longer is kept: the kernel gives up")
  func kept() throws {
    let (ours, plain) = try openStrangers(timeouts: SendLimits.short)
    let error = try refusal { () throws(SocketError) in try ours.send(SendLimits.plenty, within: .milliseconds(300)) }
    #expect(error.cause == .timedOut)
    try eventually(within: .seconds(10), "the kernel's end of it", equals: .lost(.timedOut)) { try ours.failure() }
    ours.abort()
    plain.close()
  }

  @Test("a TCP_USER_TIMEOUT that the program set itself stays, whatever a call's timeout")
  func ownOption() throws {
    let (ours, plain) = try openStrangers()
    #expect(try ours.set(.userTimeout, to: .milliseconds(300)) == .milliseconds(300))
    let error = try refusal { () throws(SocketError) in try ours.send(SendLimits.plenty, within: .seconds(20)) }
    #expect(error.cause == .lost(.timedOut), "\(error)")
    #expect(try ours.option(.userTimeout) == .milliseconds(300))
    ours.abort()
    plain.close()

    let listener = try Listener.bind(.loopback(port: 0))
    let socket = try Socket(.ipv4)
    try socket.set(.userTimeout, to: .milliseconds(700))
    let early = try socket.connect(to: listener.localAddress, within: .seconds(10))
    #expect(try early.option(.userTimeout) == .milliseconds(700), "set before the connection too")
    early.abort()
    listener.close()
  }
}
