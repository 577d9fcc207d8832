import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Reports of lost datagrams: each says who refused which datagram, and why", .onThreads)
struct DatagramReports {
  private static func option(_ family: AddressFamily) -> SocketOption<Bool> {
    family == .ipv4 ? .reportErrors : .reportErrors6
  }

  @Test(
    "a refusal by the other machine names it, quotes the datagram, and is taken once",
    .needsVeth, arguments: [AddressFamily.ipv4, .ipv6])
  func refused(family: AddressFamily) throws {
    let link = try OneLink()
    let far = IPAddress(family == .ipv4 ? "10.9.0.2" : "fd00::2")!
    let gone = SocketAddress.ip(far, port: 9)
    let socket = try link.here.run { try DatagramSocket(family) }
    #expect(try socket.takeReport() == nil)
    try socket.set(DatagramReports.option(family), to: true)
    // The first two are taken by a receive and as a report; the third is the error of the next send.
    try socket.send("number 1", to: gone)
    let error = try refusal { () throws(SocketError) in try socket.receive(within: .seconds(60)) }
    let report = try #require(error.report)
    #expect(error.cause == .system(.connectionRefused) && error.remoteAddress == gone)
    #expect(report.code == .connectionRefused && report.destination == gone && report.offender == far)
    #expect(report.origin == (family == .ipv4 ? .icmp : .icmp6))
    #expect((report.type, report.typeCode) == (family == .ipv4 ? (3, 3) : (1, 4)))
    #expect(report.bytes == Array("number 1".utf8) && report.pathMTU == nil)
    #expect("\(report)".contains("says \(far) (ICMP"), "\(report)")
    try socket.send("number 2", to: gone)
    var taken: DatagramReport?
    try eventually("the report") {
      taken = try socket.takeReport()
      return taken != nil
    }
    #expect(taken?.bytes == Array("number 2".utf8) && taken?.offender == far)
    #expect(try socket.takeReport() == nil)
    #expect(try refusal { () throws(SocketError) in try socket.receive(within: .zero) }.cause == .timedOut)
    try socket.send("number 3", to: gone)
    let number = try socket.withDescriptor { $0.rawValue }
    // POLLERR.
    try eventually("the report") { try Syscalls.poll(number, 0, until: .passed)?.first == 8 }
    let later = try refusal { () throws(SocketError) in try socket.send("number 4", to: gone) }
    #expect(later.report?.bytes == Array("number 3".utf8))
    socket.close()
  }

  @Test(
    "a report by a router on the way names the router, in the error's text too, in a task too",
    .needsVeth, arguments: [AddressFamily.ipv4, .ipv6])
  func router(family: AddressFamily) throws {
    let link = try OneLink()
    let isFour = family == .ipv4
    // The other machine forwards, and has no route to the destination.
    try link.there.setSysctl(isFour ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding", "1")
    let (router, network) = isFour ? ("10.9.0.2", "10.20.0.0") : ("fd00::2", "fd20::")
    try link.here.addRoute(to: network, prefix: isFour ? 16 : 32, via: router, link: "va")
    let target = SocketAddress.ip(IPAddress(isFour ? "10.20.0.7" : "fd20::7")!, port: 9)
    let shared = try link.here.run { try DatagramSocket(family) }.share()
    try shared.set(DatagramReports.option(family), to: true)
    try shared.send("lost", to: target)
    let error = try errand { try await shared.receive(within: .seconds(60)) }.refusal()
    let report = try #require(error.report, "\(error)")
    #expect(report.offender == IPAddress(router) && report.destination == target)
    #expect(error.remoteAddress == target)
    #expect(report.type == (isFour ? 3 : 1) && report.typeCode == 0, "\(report)")
    #expect(report.bytes == Array("lost".utf8))
    #expect("\(error)".contains("\(router) says so (ICMP"), "\(error)")
    shared.close()
  }

  @Test("a datagram that is too long for the path is refused with the length that passes", .needsVeth)
  func pathMTU() throws {
    let link = try OneLink()
    let socket = try link.here.run { try DatagramSocket(.ipv4) }
    let target = SocketAddress.ip(IPAddress("10.9.0.2")!, port: 9)
    // IP_MTU_DISCOVER, IP_PMTUDISC_DO: nothing is fragmented.
    try socket.set(.integer("IP_MTU_DISCOVER", level: CInt(IPPROTO_IP), name: 10), to: 2)
    let plain = try refusal { () throws(SocketError) in
      try socket.send([UInt8](repeating: 1, count: 2000), to: target)
    }
    #expect(plain.cause == .system(.messageTooLong) && plain.report == nil)
    try socket.set(.reportErrors, to: true)
    for _ in 0..<2 {
      let error = try refusal { () throws(SocketError) in
        try socket.send([UInt8](repeating: 1, count: 2000), to: target)
      }
      #expect(error.cause == .system(.messageTooLong) && error.remoteAddress == target)
      #expect(error.report?.origin == .local && error.report?.pathMTU == 1500, "\(error)")
      #expect("\(error)".contains("packets of at most 1500 bytes pass"), "\(error)")
    }
    #expect(try socket.takeReport() == nil, "each was one error, and is not told twice")
    try socket.send([UInt8](repeating: 1, count: 1472), to: target)
    socket.close()
  }

  @Test("an IPv6 socket reports a refusal of an IPv4 datagram with IPv4 addresses")
  func mapped() throws {
    let quiet = try DatagramSocket.bind(.loopback(port: 0))
    let port = quiet.localAddress!.port!
    quiet.close()
    let socket = try DatagramSocket(.ipv6)
    try socket.set(.reportErrors, to: true)
    try socket.set(.reportErrors6, to: true)
    let target = SocketAddress.v6(IPv6Address(mapping: .loopback), port: port)
    try socket.send("x", to: target)
    let error = try refusal { () throws(SocketError) in try socket.receive(within: .seconds(60)) }
    #expect(error.report?.offender == .v4(.loopback) && error.report?.origin == .icmp, "\(error)")
    #expect(error.remoteAddress?.canonical == .v4(.loopback, port: port))
    let shared = socket.share()
    shared.close()
    #expect(try refusal { () throws(SocketError) in _ = try shared.takeReport() }.cause == .closed)
  }
}
