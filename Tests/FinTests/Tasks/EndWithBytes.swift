import Peers
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("In a task: the peer's last bytes and its FIN", .onThreads)
struct EndWithBytes {
  @Test("last bytes and a FIN in one event are both read, although the bytes leave room in the buffer")
  func together() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let (ours, plain) = try openStrangers()
    // The socket is registered with this loop now, and nothing has arrived yet.
    let early = try onLoop(of: reactor) { try await ours.receive(upTo: 100, within: .zero) }.refusal()
    #expect(early.cause == .timedOut)
    // The loop's thread is kept busy while the bytes and the FIN arrive.
    let (isHeld, release) = (Flag(), OneShot<Void>())
    let holding = try onLoop(of: reactor) {
      isHeld.set()
      _ = synchronously { release.wait(for: .seconds(20)) }
    }
    try eventually("the loop's thread") { isHeld.isSet }
    try plain.send("last")
    try plain.finishSending()
    let number = ours.reference.core.number
    try eventually(within: .seconds(10), "the end", equals: .closeWait) { try TCPInfo.read(number).state }
    let receiving = try onLoop(of: reactor) {
      [try await ours.receive(upTo: 100), try await ours.receive(upTo: 100, within: .seconds(10))]
    }
    release.deliver(())
    try holding.join()
    #expect(try receiving.join(within: .seconds(20)) == [Array("last".utf8), nil])
    ours.abort()
    plain.close()
  }
}
