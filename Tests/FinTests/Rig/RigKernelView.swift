import Glibc
import Peers
import Testing

@Suite("Rig: the kernel's tables")
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

  @Test("IPv6 has the same names as its owner writes")
  func tcp6() throws {
    guard let listener = try? PlainSocket.listening(on: "::1") else { return }
    let port = listener.port
    #expect(try KernelView.tcp(localPort: port).first?.localAddress == "::1")
  }

  @Test("TIME-WAIT and the counters of a namespace", .needsNamespaces)
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

  @Test("Unix sockets: a listener by its path, an abstract one by its name")
  func unix() throws {
    let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let name = "rig-\(getpid())"
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: [0] + Array(name.utf8)) }
    let size = socklen_t(3 + name.utf8.count)
    let code = unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, size) }
    }
    #expect(code == 0 && listen(descriptor, 1) == 0)
    let row = try KernelView.unix().first { $0.path == "@\(name)" }
    #expect(row?.isListening == true && row?.kind == 1)
  }

  @Test("flags of a descriptor, and none of a closed one")
  func flags() throws {
    let listener = try PlainSocket.listening()
    let expected = DescriptorFlags(closesOnExec: true, isNonBlocking: false)
    #expect(KernelView.descriptorFlags(listener.descriptor) == expected)
    _ = fcntl(listener.descriptor, F_SETFL, O_NONBLOCK)
    #expect(KernelView.descriptorFlags(listener.descriptor)?.isNonBlocking == true)
    #expect(KernelView.descriptorFlags(1_000_000) == nil)
  }
}
