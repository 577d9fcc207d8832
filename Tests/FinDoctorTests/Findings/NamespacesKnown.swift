import TestTraits
import Testing

@testable import FinDoctor

@Suite("Rows of network namespaces that are not connected are not joined by their addresses", .onThreads)
struct NamespacesKnown {
  private static let address = AddressBits(low: 0x0a00_0009)

  private static func row(_ state: SocketState, namespace: UInt16, inode: UInt32) -> InetSocket {
    var row = InetSocket()
    (row.state, row.namespace, row.inode, row.cookie) = (state, namespace, inode, UInt64(inode))
    return row
  }

  private static func listener(on address: AddressBits, namespace: UInt16) -> InetSocket {
    var row = row(.listen, namespace: namespace, inode: 7)
    (row.localBits, row.localPort, row.receiveQueue, row.sendQueue) = (address, 80, 9, 8)
    return row
  }

  private static func attempt(to address: AddressBits, from source: AddressBits = AddressBits(low: 1)) -> InetSocket {
    var row = row(.synSent, namespace: 0, inode: 8)
    (row.localBits, row.localPort, row.remoteBits, row.remotePort) = (source, 50000, address, 80)
    (row.retransmits, row.timer) = (4, .retransmit)
    return row
  }

  private static func findings(_ rows: [InetSocket]) -> [Finding] {
    let holders = Holders(sockets: [
      Holder(inode: 7, pid: 5, descriptor: 3), Holder(inode: 8, pid: 6, descriptor: 3),
    ])
    let programs: [Int32: Program] = [5: Program(pid: 5, name: "stranger"), 6: Program(pid: 6, name: "client")]
    let census = Census(
      sockets: ContiguousArray(rows), holders: holders, programs: programs,
      namespaces: [Namespace(), Namespace(inode: 1, name: "blue")])
    return Diagnosis.findings(in: census)
  }

  @Test("P4: a listener with the address in another namespace is mentioned, and neither blamed nor made the cause")
  func stranger() throws {
    let found = Self.findings([Self.listener(on: Self.address, namespace: 1), Self.attempt(to: Self.address)])
    let stuck = try found.only(.connectStuck)
    #expect(stuck.why?.contains("The destination is down") == true)
    #expect(stuck.why?.contains("stranger (pid 5) listens on that address in another network namespace (blue)") == true)
    #expect(stuck.why?.contains("is unknown") == true)
    #expect(found.ids.contains(.acceptOverflow))
    #expect(Diagnosis.chains(found).allSatisfy { $0.count == 1 })
  }

  @Test("P4: the listener of the same namespace is the cause, on the address or on every address of this machine")
  func own() {
    for (listener, source) in [(Self.address, AddressBits(low: 1)), (AddressBits(), Self.address)] {
      let found = Self.findings([
        Self.listener(on: listener, namespace: 0), Self.attempt(to: Self.address, from: source),
      ])
      #expect(Diagnosis.chains(found).contains { $0.map(\.id) == [.acceptOverflow, .connectStuck] })
    }
    // A listener on every address of this machine has not those of others.
    let found = Self.findings([Self.listener(on: AddressBits(), namespace: 0), Self.attempt(to: Self.address)])
    #expect(Diagnosis.chains(found).allSatisfy { $0.count == 1 })
  }

  @Test("P4: an IPv6 socket with a mapped address reaches IPv4 listeners, and no IPv6 listener that excludes IPv4")
  func mapped() throws {
    func mapped(_ bits: AddressBits) -> AddressBits { AddressBits(low: 0xffff_0000_0000 | bits.low) }
    var attempt = Self.attempt(to: mapped(Self.address), from: mapped(Self.address))
    attempt.isIPv6 = true
    var everywhere = Self.listener(on: AddressBits(), namespace: 0)
    everywhere.isIPv6 = true
    for listener in [Self.listener(on: Self.address, namespace: 0), everywhere] {
      let found = Self.findings([listener, attempt])
      let stuck = try found.only(.connectStuck)
      #expect(stuck.why?.contains("drops the attempts: its queue is full") == true, "\(stuck.why ?? "")")
      #expect(Diagnosis.chains(found).contains { $0.map(\.id) == [.acceptOverflow, .connectStuck] })
    }
    everywhere.isIPv6Only = true
    let found = try Self.findings([everywhere, attempt]).only(.connectStuck)
    #expect(found.why?.contains("The destination is down") == true)
  }

  @Test("the other end in another namespace must be as old as the connection")
  func otherEnd() {
    func end(_ namespace: UInt16, isServer: Bool, age: UInt32) -> InetSocket {
      var row = Self.row(.established, namespace: namespace, inode: isServer ? 7 : 8)
      let client = AddressBits(low: 1)
      (row.localBits, row.remoteBits) = isServer ? (Self.address, client) : (client, Self.address)
      (row.localPort, row.remotePort) = isServer ? (80, 50000) : (50000, 80)
      (row.info.lastDataSent, row.info.lastDataReceived, row.info.lastAcknowledgementReceived) = (age, age, age)
      (row.info.bytesSent, row.info.bytesReceived) = (0, 0)
      return row
    }
    let namespaces = [Namespace(), Namespace(inode: 1, name: "blue")]
    let client = end(0, isServer: false, age: 60_000)
    func other(_ age: UInt32) -> SocketReference? {
      Census(sockets: [client, end(1, isServer: true, age: age)], namespaces: namespaces).otherEnd(of: .inet(0))
    }
    #expect(other(60_000) == .inet(1) && other(59_000) == .inet(1))
    #expect(other(600_000) == nil && other(2_000) == nil)
  }

  @Test("the time of receipt that the kernel never set is unknown; one that was set stays, and so does one of data")
  func timeOfReceipt() {
    func detail(_ time: UInt32, received: UInt64 = 0, uptime: UInt64) -> TCPDetail {
      var info = TCPDetail()
      (info.lastDataReceived, info.bytesReceived) = (time, received)
      info.forgetReceiptThatNeverWas(uptime: uptime)
      return info
    }
    #expect(detail(24_892_424, uptime: 25_192_430).lastDataReceived == nil)
    // A FIN is counted and sets no time.
    #expect(detail(24_892_424, received: 1, uptime: 25_192_430).lastDataReceived == nil)
    #expect(detail(24_892_424, received: 5, uptime: 25_192_430).lastDataReceived == 24_892_424)
    #expect(detail(5_000, uptime: 25_192_430).lastDataReceived == 5_000)
    // The machine started a minute ago, and after 49.7 days the count begins anew.
    #expect(detail(UInt32.max - 239_999, uptime: 60_000).lastDataReceived == nil)
    #expect(detail(700_000, uptime: 4_294_967_296 + 1_000_000).lastDataReceived == nil)
  }
}
