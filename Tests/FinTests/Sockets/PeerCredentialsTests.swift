import Fin
import Glibc
import Peers
import TestTraits
import Testing

@Suite("The peer credentials of a Unix stream", .onThreads)
struct UnixPeers {
  @Test("a Unix peer's process, user and group come from the kernel; TCP has none")
  func credentials() throws {
    let folder = try TemporaryFolder()
    let listener = try Listener.bind(.unix("\(folder.path)/s"))
    let client = try Connection.connect(to: listener.localAddress, within: .seconds(10))
    let served = try listener.accept(within: .seconds(10)).share()
    let own = "pid \(getpid()), user \(geteuid()), group \(getegid())"
    #expect(try served.peerCredentials()?.description == own)
    #expect(try client.peerCredentials()?.pid == getpid())
    served.abort()
    let error = #expect(throws: SocketError.self) { try served.peerCredentials() }
    #expect(error?.cause == .closed)
    client.abort()
    listener.close()
    let tcp = try Listener.bind(.loopback(port: 0))
    let connection = try Connection.connect(to: tcp.localAddress, within: .seconds(10))
    #expect(try connection.peerCredentials() == nil)
    connection.abort()
    tcp.close()
  }
}
