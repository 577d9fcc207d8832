import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A stream that is neither TCP nor Unix is refused by its name", .onThreads)
struct ForeignStreams {
  @Test(
    "adopting an SCTP stream, or one of an unknown protocol, is refused with its name",
    arguments: [(132, "is an SCTP socket"), (256, "speaks protocol 256")])
  func refused(number: Int, reason: String) throws {
    let pair = try StreamKind.ipv4.connected()
    let detached = try pair.first.detach().descriptor
    let script = Script(.every(.protocolOfSocket, .value(number)))
    let error = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in try Connection.adopt(detached) }
    }
    #expect(error.cause == .invalid("descriptor \(detached.rawValue) \(reason)"))
    try detached.close()
    pair.second.abort()
    guard number == 132, let sctp = OtherHolder.socket(AF_INET, 132) else { return }
    try Syscalls.bind(sctp, .loopback(port: 0))
    try Syscalls.listen(sctp, 4)
    let real = try refusal { () throws(SocketError) in try Listener.adopt(FileDescriptor(rawValue: sctp)) }
    #expect(real.cause == .invalid("descriptor \(sctp) is an SCTP socket"))
    close(sctp)
  }
}
