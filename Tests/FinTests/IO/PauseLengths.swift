import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 9: pauses between attempts grow, up to a limit", .onThreads)
struct PauseLengths {
  @Test("a server's pauses double from 5 ms to 1 s, stay there, and begin anew after a success")
  func accepting() {
    var backoff = Backoff()
    var pauses: [Duration] = []
    for _ in 0..<12 {
      #expect(backoff.isFirst == pauses.isEmpty)
      pauses.append(backoff.pause)
      backoff.grow()
    }
    let expected = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000]
    #expect(pauses == expected.map { .milliseconds($0) })
    backoff.reset()
    #expect(backoff.isFirst && backoff.pause == .milliseconds(5))
  }

  @Test("while a Unix receiver's queue is full, a sender's pauses double from 1 ms to 50 ms, and stay there")
  func sendingDatagrams() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress.unix("\(folder.path)/full")
    let server = try DatagramSocket.bind(address)
    let client = try DatagramSocket(.unix)
    let full = try refusal { () throws(SocketError) in
      while true { try client.send([1], to: address, within: .zero) }
    }
    #expect(full.cause == .timedOut)
    let core = client.reference.core
    var state = DatagramSendState(peer: address)
    var pauses: [Duration] = []
    try core.withAccess(.send) { access throws(SocketError) in
      for _ in 0..<9 {
        let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        if case .pause(.time(let pause)) = try unsafe core.sendDatagram(nothing, &state, access) {
          pauses.append(pause)
        }
      }
    }
    #expect(pauses == [1, 2, 4, 8, 16, 32, 50, 50, 50].map { .milliseconds($0) })
    client.close()
    server.close()
  }
}
