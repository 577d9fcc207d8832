#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

/// `FIN_STALLED` sets the number of handshakes (10,000, or as many as the machine's limit of descriptors allows).
@Suite("Secured: ten thousand stalled handshakes", .needsProgram("openssl"), .timeLimit(.minutes(10)))
struct SecuredStalled {
  @Test(
    "stalled handshakes in tasks hold no thread: a client is served meanwhile, and the handshake's time ends them all",
    .onThreads)
  func stalled() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        let certificates = try Certificates()
        guard Privileges.canMakeNamespaces else { return try SecuredStalled.stall(certificates) }
        try NetworkNamespace().run { try SecuredStalled.stall(certificates) }
      }
    }
  }

  /// A hello of a client as its record begins, and no more of it.
  private static let half: [UInt8] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]

  /// Both ends of each connection are in this process.
  private static func stall(_ certificates: Certificates) throws {
    let wanted = stormNumber("FIN_STALLED", 10_000)
    let allowed = DescriptorTable.raiseLimit(to: 2 * wanted + 500)
    let count = min(wanted, (allowed - 500) / 2)
    check(count >= 1000 || count == wanted, "this machine allows \(allowed) descriptors")
    let settings = try TLSServer(certificates.identity())
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let reactor = try Reactor(loops: 2)
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let owner = Keeper(
        try Listener.bind(.loopback(port: 0), backlog: 4096, timeouts: Timeouts(handshake: .seconds(30))))
      let address = owner.listener.localAddress
      let server = Working(on: reactor.executor) {
        await owner.listener.serve(securing: settings, on: reactor) { try await $0.send("served\n") }
      }
      func served() throws {
        let endpoint = Endpoint(host: "127.0.0.1", port: address.port!)
        let (line, end) = try withConnection(to: endpoint, securing: client, within: .seconds(60)) { connection in
          try connection.receiveLine(within: .seconds(60))
        }
        check(line == "served" && end.ending == .peerFinished, "\(String(describing: line)), \(end)")
      }
      // A first client starts the threads that any client needs.
      try served()
      let threads = try threadCount()
      check(threads < 50, "\(threads) threads before the first of them")
      let before = ledger.counts.opened
      var stalled: [CInt] = []
      for _ in 0..<count {
        let plain = try PlainSocket.connected(to: "127.0.0.1", port: address.port!, within: .seconds(60))
        try plain.send(half)
        stalled.append(plain.detach())
      }
      // On a slow machine the time of the first ones is over by now.
      try eventually(within: .seconds(120), "handshakes begun", equals: count) { ledger.counts.opened - before }
      let together = ledger.counts.open - 1
      check(together >= min(count, 1000), "only \(together) handshakes under way at once")
      try served()
      let now = try threadCount()
      // Swift's own pool may add a few, whatever the number of handshakes.
      check(now <= threads + 4, "\(threads) threads became \(now) with \(count) handshakes under way")
      // Each is aborted at its deadline: the peers get resets, and none an end.
      for descriptor in stalled {
        let plain = PlainSocket(adopting: descriptor)
        plain.setTimeouts(.seconds(120))
        do throws(RigError) {
          let end = try plain.receive()
          check(false, "a stalled client received \(end.count) bytes")
        } catch { check(error.code == ECONNRESET, "\(error)") }
      }
      owner.listener.handle.stop(within: .seconds(60))
      let report = try server.join(within: .seconds(120))
      check(report.securingsFailed == count && report.lastSecuringFailure?.cause == .timedOut, "\(report)")
      check(report.endings[.peerFinished] == 2 && report.handlersFailed == 0, "\(report)")
    }
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
    withExtendedLifetime(reactor) {}
  }

  /// The threads of this process, as the kernel counts them.
  private static func threadCount() throws -> Int {
    let line = try KernelView.text("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("Threads:") }
    guard let count = line?.split(separator: "\t").last.flatMap({ Int($0) }) else { throw RigError("no threads") }
    return count
  }
}
#endif
