import Peers
import TestTraits
import Testing

@Suite("Rig: nothing is left behind")
struct RigTeardown {
  @Test("links and programs, even of a failed test, leave no descriptor and no process", .onThreads, .needsTUN)
  func linksAndPrograms() async {
    await #expect(processExitsWith: .success) {
      func use(_ number: Int) throws {
        try withLossyLink { link in
          let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
          let port = listener.port
          let client = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: port) }
          try client.send([1])
          if number % 3 == 0 { throw RigError("a test that fails") }
        }
        try withChild(Programs.find("sh") ?? "/bin/sh", ["-c", "sleep 60"]) { child in
          if number % 3 == 1 { throw RigError("a test that fails") }
          child.stop()
        }
      }
      try? use(2)
      let before = try KernelView.lastingDescriptors()
      for number in 0..<10 { try? use(number) }
      let after = try KernelView.lastingDescriptors()
      precondition(before == after, "\(before) became \(after)")
      precondition(KernelView.hasNoChildren, "a program was not reaped")
    }
  }

  @Test("thirty peers, even of failed tests, leave no descriptor and no thread", .onThreads, .needsTUN)
  func peers() async {
    // A separate process, in which no other test opens descriptors.
    await #expect(processExitsWith: .success) {
      try withRawPeer { _ in }
      let before = try KernelView.lastingDescriptors()
      let threads = try KernelView.threadCount()
      for number in 0..<30 {
        try? withRawPeer(.zeroWindowForEver) { peer in
          let socket = try peer.connectedSocket()
          try socket.send([1])
          if number % 3 == 0 { throw RigError("a test that fails") }
        }
      }
      let after = try KernelView.lastingDescriptors()
      precondition(before == after, "\(before) became \(after)")
      // A leaked thread for each failed test would be ten. Dispatch's own threads come and go.
      try eventually("threads", equals: true) { try KernelView.threadCount() < threads + 10 }
    }
  }
}
