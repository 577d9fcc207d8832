import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: close always answers: abort and background", .onThreads)
struct AbortTests {
  @Test(
    "an abort sends exactly one RST, whatever was unread or unsent, and leaves no socket behind", .faults(27),
    .needsTUN,
    arguments: [Behaviour.good, .neverAcknowledges, .zeroWindowForEver], [false, true])
  func oneReset(_ behaviour: Behaviour, hasUnread: Bool) throws {
    try withRawPeer(behaviour) { peer in
      let connection = try connection(to: peer)
      try connection.send([1, 2, 3])
      if hasUnread {
        try peer.send([4, 5])
        try connection.awaitReceived(2)
      }
      try connection.awaitUnacknowledged(behaviour.name == "good" ? 0 : 3)
      // A segment from the peer after the abort would be answered with another reset.
      peer.vanish()
      let report = connection.abort()
      #expect(report.ending == .aborted)
      #expect(report.duration < slack)
      try peer.awaitLog("the reset") { $0.count(.rst) > 0 }
      #expect(try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).isEmpty })
      // A second reset would follow at once.
      try steadily(for: .milliseconds(50), "the number of resets", equals: 1) { peer.log.count(.rst) }
      #expect(peer.log.count(.fin) == 0, "\(peer.log)")
    }
  }

  @Test("an abort after our FIN sends exactly one RST too", .faults(27), .needsTUN)
  func afterFinishing() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer).finishSending()
      try connection.awaitState(.finWait2)
      #expect(connection.abort().ending == .aborted)
      try peer.awaitLog("the reset") { $0.count(.rst) > 0 }
      #expect(peer.log.count(.rst) == 1 && peer.log.count(.fin) == 1, "\(peer.log)")
      #expect(try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).isEmpty })
    }
  }

  @Test("the peer of an abort reads a reset", .faults(27))
  func heard() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    stream.abort()
    #expect(throws: RigError("recv", code: ECONNRESET)) { try peer.receive() }
  }

  @Test(
    "a background close returns at once; the kernel's orphan is gone after its timeout", .faults(21, 23), .needsTUN,
    arguments: [Behaviour.neverAcknowledges, .zeroWindowForEver, .neverFinishes])
  func orphan(_ behaviour: Behaviour) throws {
    try withRawPeer(behaviour) { peer in
      let connection = try connection(to: peer, timeouts: Timeouts(send: .never))
      try connection.send([1, 2, 3])
      let report = connection.close(.background(orphanTimeout: .seconds(1)))
      #expect(report.ending == .background)
      #expect(report.duration < slack)
      // No descriptor refers to the connection any more, but the kernel still works on it.
      #expect(try peer.namespace.run { try KernelView.orphanCount() } == 1)
      // Without Fin's bound the kernel would keep the orphan for a minute or more.
      try eventually(within: .seconds(15), "orphans", equals: 0) {
        try peer.namespace.run { try KernelView.orphanCount() }
      }
    }
  }

  @Test("a background close still delivers to a peer that acknowledges", .needsTUN)
  func backgroundDelivers() throws {
    try withRawPeer(.good) { peer in
      let connection = try connection(to: peer)
      let bytes = [UInt8](repeating: 3, count: 20_000)
      try connection.send(bytes)
      #expect(connection.close(.background).ending == .background)
      try peer.awaitLog("the FIN") { $0.count(.fin) > 0 && $0.distinctBytes() == bytes.count }
      try eventually("what the peer took") { peer.received == bytes }
      #expect(peer.log.count(.rst) == 0, "\(peer.log)")
    }
  }

  // A descriptor from elsewhere may have SO_LINGER set; close(2) would then block, even on a non-blocking descriptor.
  @Test("an adopted descriptor with SO_LINGER set does not block its close", .faults(28), .needsTUN)
  func adoptedLinger() throws {
    try withRawPeer(.zeroWindowForEver) { peer in
      let plain = try peer.connectedSocket()
      var value = linger(l_onoff: 1, l_linger: 20)
      unsafe setsockopt(plain.descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
      let connection = try Connection.adopt(FileDescriptor(rawValue: plain.detach()))
      try connection.send([1, 2, 3])
      let start = ContinuousClock.now
      connection.close(.background)
      #expect(ContinuousClock.now - start < slack)
    }
  }

  @Test("SO_LINGER is set in one place only, to zero, and callers cannot set it", .faults(28))
  func noLinger() throws {
    let sources = #filePath.split(separator: "/").dropLast(4).map { "/\($0)" }.joined() + "/Sources/Fin"
    var uses: [String] = []
    try withChild(Programs.find("grep") ?? "/bin/grep", ["-rnE", "l_linger|SO_LINGER", sources, "--include=*.swift"]) {
      child in
      while let line = try child.readLine() { uses.append(line) }
    }
    let code = uses.filter { !$0.contains("///") && !$0.contains("// ") }
    let times = code.filter { $0.contains("l_linger:") }
    #expect(!times.isEmpty)
    for use in times { #expect(use.contains("l_linger: 0"), "\(use)") }
    // The option is named only where Fin sets it and where Fin refuses a caller's attempt to set it.
    for use in code where !use.contains("l_linger:") {
      #expect(
        use.contains("Kernel/Syscalls.swift") || use.contains("throw") || use.contains("option.name == SO_LINGER"),
        "\(use)")
    }
    let pair = try Connection.pair()
    let option = SocketOption<[UInt8]>.raw("SO_LINGER", level: SOL_SOCKET, name: SO_LINGER, size: 8)
    let refusal = cause { () throws(SocketError) in try pair.first.set(option, to: [1, 0, 0, 0, 5, 0, 0, 0]) }
    #expect(refusal == .invalid("SO_LINGER cannot be set: the policies of close(_:) replace it"))
    pair.first.close()
    pair.second.close()
  }
}
