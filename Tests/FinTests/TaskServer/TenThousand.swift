import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: ten thousand connections at once")
struct TenThousand {
  @Test(
    "10,000 connections under a limit of 20,000 descriptors are opened, used and drained without an error", .onThreads,
    .faults(46))
  func drained() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        guard Privileges.canMakeNamespaces else { return try TenThousand.serve() }
        try NetworkNamespace().run { try TenThousand.serve() }
      }
    }
  }

  /// Both ends of each connection are in this process.
  private static func serve() throws {
    let allowed = DescriptorTable.raiseLimit(to: 20_000)
    check(allowed >= 10_500, "this machine allows \(allowed) descriptors")
    let (crews, each) = (50, 100)
    let reactor = try Reactor(loops: 2)
    let before = try stormCensus()
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let owner = Keeper(try Listener.bind(.loopback(port: 0)))
      let (handle, address) = (owner.listener.handle, owner.listener.localAddress)
      let server = Working(on: reactor.executor) { await owner.listener.serve(on: reactor, echoInTask) }
      let hold = Hold()
      let crew = (0..<crews).map { number in
        Working(on: reactor.executor) {
          var connections: [SharedConnection] = []
          for index in 0..<each {
            let connection = try await Connection.connect(to: address).share()
            try await exchange("\(number) \(index)", connection)
            connections.append(connection)
          }
          await hold.pass()
          for (index, connection) in connections.enumerated() {
            try await exchange("\(index) again", connection)
            try await connection.finishSending()
            let end = try await connection.receiveLine()
            check(end == nil, "after the end: \(String(describing: end))")
            let report = await connection.close()
            check(report.ending == .peerFinished && report.isDelivered, "\(report)")
          }
        }
      }
      try eventually(within: .seconds(120), "crews with all their connections", equals: crews) { hold.arrived.value }
      check(ledger.counts.open == 10_001, "\(ledger.counts)")
      let open = try KernelView.openDescriptors().count
      check(open > 10_000 && open < 20_000, "\(open) descriptors")
      handle.stop(within: .seconds(120))
      hold.open()
      for task in crew { try task.join(within: .seconds(120)) }
      let report = try server.join(within: .seconds(120))
      check(report.endings == [.peerFinished: 5_000] && report.served == 5_000, "\(report)")
      check(report.handlersFailed == 0 && report.abortedAtStop == 0 && report.failure == nil, "\(report)")
    }
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
    try eventually(within: .seconds(20), "descriptors", equals: before) { try stormCensus() }
    withExtendedLifetime(reactor) {}
  }

  private static func exchange(_ line: String, _ connection: SharedConnection) async throws {
    try await connection.send("\(line)\n")
    let answer = try await connection.receiveLine()
    check(answer == line, "\(line) came back as \(String(describing: answer))")
  }
}
