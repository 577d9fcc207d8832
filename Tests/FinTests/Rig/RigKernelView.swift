import Glibc
import Peers
import TestTraits
import Testing

@Suite("Rig: the kernel's tables", .onThreads)
struct RigKernelView {
  @Test("a connection and its listener are found by their ports, with the inodes of their descriptors")
  func tcp() throws {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let accepted = try listener.accept()
    try client.send([1, 2, 3])
    let (port, clientPort) = (listener.port, client.port)
    try eventually("bytes to read", equals: 3) {
      try KernelView.tcp(localPort: port, remotePort: clientPort).first?.receiveQueue ?? -1
    }
    let row = try #require(try KernelView.tcp(local: ("127.0.0.1", port), remote: ("127.0.0.1", clientPort)))
    #expect(row.state == .established)
    let descriptors = try KernelView.openDescriptors()
    #expect(descriptors.first { $0.number == accepted.descriptor }?.socketInode == row.inode)
    #expect(try KernelView.tcp(localPort: port).map(\.state).contains(.listen))
  }

  @Test("an IPv6 socket is listed under its address as people write it", .needsIPv6)
  func tcp6() throws {
    let listener = try PlainSocket.listening(on: "::1")
    let port = listener.port
    #expect(try KernelView.tcp(localPort: port).contains { $0.state == .listen && $0.localAddress == "::1" })
  }

  @Test("TIME-WAIT sockets and the counters of a namespace are read", .needsNamespaces)
  func counts() throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { try PlainSocket.listening() }
    let port = listener.port
    for _ in 0..<3 {
      let client = try namespace.run { try PlainSocket.connected(to: "127.0.0.1", port: port) }
      let accepted = try listener.accept()
      client.close()
      #expect(try accepted.receive().isEmpty)
      accepted.close()
    }
    try eventually("TIME-WAIT", equals: 3) { try namespace.run { try KernelView.timeWaitCount() } }
    try namespace.run { () throws in
      #expect(try KernelView.sockstat("TCP", "tw") == 3)
      #expect(try KernelView.sockstat("TCP", "inuse") == 1)
      #expect(try KernelView.sockstat("TCP", "nothing") == nil)
      #expect(try KernelView.counter("Tcp", "ActiveOpens") == 3)
      #expect(try KernelView.counter("TcpExt", "ListenOverflows") == 0)
      #expect(try KernelView.orphanCount() == 0)
    }
  }

  @Test("a Unix listener and its connection are found by their name")
  func unix() throws {
    let name = "@rig-\(getpid())"
    let listener = try PlainSocket.listening(onUnix: name)
    let client = try PlainSocket.connected(toUnix: name)
    let accepted = try listener.accept()
    try client.send([1])
    #expect(try accepted.receive() == [1])
    let rows = try KernelView.unix().filter { $0.path == name }
    #expect(rows.count { $0.isListening } == 1 && rows.count { $0.isConnected } == 1, "\(rows)")
    #expect(rows.allSatisfy { $0.kind == 1 && $0.inode != 0 })
  }

  @Test("the flags of a descriptor are read, and a closed one has none")
  func flags() throws {
    let listener = try PlainSocket.listening()
    let expected = DescriptorFlags(closesOnExec: true, isNonBlocking: false)
    #expect(KernelView.descriptorFlags(listener.descriptor) == expected)
    _ = fcntl(listener.descriptor, F_SETFL, O_NONBLOCK)
    #expect(KernelView.descriptorFlags(listener.descriptor)?.isNonBlocking == true)
    #expect(KernelView.descriptorFlags(1_000_000) == nil)
  }
}
