import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("An invalid number from a caller is an error with an explanation, never a trap", .onThreads)
struct NumbersOfCallers {
  @Test("an invalid size of a raw option is an error", arguments: [Int.min, -1, (64 << 20) + 1, .max])
  func rawSize(size: Int) throws {
    let pair = try Connection.pair()
    let error = try refusal { () throws(SocketError) in
      try pair.first.option(.raw("SO_TYPE", level: SOL_SOCKET, name: SO_TYPE, size: size))
    }
    #expect("\(error)".contains("\(size) bytes of SO_TYPE"), "\(error)")
    #expect(try pair.first.option(.raw("SO_TYPE", level: SOL_SOCKET, name: SO_TYPE, size: 0)) == [])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("an invalid backlog is an error, wherever it is given", arguments: [-1, Int.min])
  func backlog(backlog: Int) throws {
    let plain = try PlainSocket.listening()
    let number = plain.descriptor
    let adopting = try refusal { () throws(SocketError) in
      try Listener.adopt(FileDescriptor(rawValue: number), backlog: backlog)
    }
    #expect("\(adopting)".contains("a backlog of \(backlog)"), "\(adopting)")
    #expect(fcntl(number, F_GETFD) >= 0, "it is still the caller's")
    plain.close()
    let binding = try refusal { () throws(SocketError) in try Listener.bind(.loopback(port: 0), backlog: backlog) }
    #expect("\(binding)".contains("a backlog of \(backlog)"), "\(binding)")
    let listener = try Listener.bind(.loopback(port: 0), backlog: .max)
    listener.close()
  }

  @Test("an invalid limit for bytes, a line or a datagram is an error", arguments: [-1, Int.min])
  func counts(count: Int) throws {
    let pair = try Connection.pair()
    try pair.first.send("x\n")
    let second = pair.second.share()
    let errors = [
      try refusal { () throws(SocketError) in try second.receive(upTo: count) },
      try refusal { () throws(SocketError) in try second.receive(exactly: count) },
      try refusal { () throws(SocketError) in try second.receive(until: [1], limit: count) },
      try refusal { () throws(SocketError) in try second.receiveLine(limit: count) },
      try refusal { () throws(SocketError) in try second.peek(upTo: count) },
    ]
    for error in errors {
      guard case .invalid = error.cause else { throw RigError("\(error)") }
    }
    #expect(try second.receiveLine(limit: .max) == "x")
    pair.first.abort()
    second.abort()
    let ends = try DatagramSocket.pair()
    let error = try refusal { () throws(SocketError) in try ends.second.receive(upTo: count) }
    guard case .invalid = error.cause else { throw RigError("\(error)") }
    ends.first.close()
    ends.second.close()
  }

  @Test("an error's hint speaks of a connection on a stream, and of datagrams on a datagram socket")
  func refusedHint() throws {
    let pair = try StreamKind.ipv4.connected()
    let script = Script(.first(.recv, .fail(.connectionRefused)))
    let error = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in try pair.first.receive(upTo: 1) }
    }
    #expect(error.cause == .system(.connectionRefused))
    #expect(!"\(error)".contains("datagram"), "\(error)")
    pair.first.abort()
    pair.second.abort()
    let udp = try DatagramSocket(.ipv4)
    try udp.connect(to: .loopback(port: 9))
    let datagrams = Script(.first(.recvmsg, .fail(.connectionRefused)))
    let other = try scripted(datagrams) { () throws in try refusal { () throws(SocketError) in try udp.receive() } }
    #expect("\(other)".contains("an earlier datagram"), "\(other)")
    udp.close()
  }
}
