import Peers
import Testing

@Suite("Rig: nothing is left behind")
struct RigTeardown {
  @Test("thirty peers, also those whose test failed, leave no descriptor and no thread", .needsTUN)
  func peers() async {
    // In a process of its own: no other test opens descriptors there.
    await #expect(processExitsWith: .success) {
      try withRawPeer { _ in }
      let before = try KernelView.openDescriptors()
      for number in 0..<30 {
        try? withRawPeer(.zeroWindowForEver) { peer in
          let socket = try peer.connectedSocket()
          try socket.send([1])
          if number % 3 == 0 { throw RigError("a test that fails") }
        }
      }
      let after = try KernelView.openDescriptors()
      precondition(before == after, "\(before) became \(after)")
      try eventually("threads", equals: true) { try KernelView.threadCount() <= 4 }
    }
  }
}
