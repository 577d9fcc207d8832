import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: out of descriptors")
struct OutOfDescriptors {
  @Test(
    "forty clients and 24 descriptors: all are served in the end, none fails, and nothing spins", .onThreads,
    .faults(35))
  func forty() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { table in
        let owner = Keeper(try Listener.bind(.loopback(port: 0)))
        let handle = owner.listener.handle
        let port = owner.listener.localAddress.port!
        let visitors = try (0..<40).map { _ in try Visitor(port) }
        for visitor in visitors { try visitor.socket.send([65]) }
        let barrier = Barrier()
        try table.leaving(24) {
          let server = onThread {
            let report = owner.listener.serve(threads: 64) { connection in
              // Waits for the visitor's next byte; this wait needs a descriptor.
              _ = try connection.receive(exactly: 1)
              barrier.arrived.add()
              _ = try connection.receiveLine()
              try connection.send("done")
            }
            return (report, threadTime())
          }
          try eventually("handlers") { barrier.arrived.value >= 3 }
          // Not all clients can be accepted: 40 clients need at least 40 descriptors.
          try steadily(for: .milliseconds(500), "clients wait", equals: true) {
            try TCPInfo.read(handle.core.number).segmentsUnacknowledged ?? 0 > 0
          }
          for (number, visitor) in visitors.enumerated() {
            let answer = try visitor.ask("\(number)")
            check(answer == "done", "visitor \(number) got \(answer)")
          }
          handle.stop()
          let (report, time) = try server.join(within: .seconds(30))
          check(report.served == 40 && report.endings == [.peerFinished: 40], "\(report)")
          check(report.handlersFailed == 0 && report.clientsReset == 0 && report.failure == nil, "\(report)")
          check((1...50).contains(report.timesOutOfDescriptors), "\(report)")
          check(time < .milliseconds(400), "the accepting thread used \(time)")
        }
      }
    }
  }
}
