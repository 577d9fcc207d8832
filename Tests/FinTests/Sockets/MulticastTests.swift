import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// Two machines on one link: `here` has 10.9.0.1, 10.9.1.1, fd00::1 and fd00::11; `there` has 10.9.0.2 and fd00::2.
struct OneLink {
  let here: NetworkNamespace
  let there: NetworkNamespace

  init() throws {
    here = try NetworkNamespace()
    there = try NetworkNamespace()
    // An address is usable at once, and not a second later.
    for namespace in [here, there] { try namespace.setSysctl("net/ipv6/conf/default/accept_dad", "0") }
    try here.addVeth("va", to: there, as: "vb")
    for (address, prefix) in [("10.9.0.1", UInt8(16)), ("10.9.1.1", 16), ("fd00::1", 64), ("fd00::11", 64)] {
      try here.addAddress(address, prefix: prefix, to: "va")
    }
    try there.addAddress("10.9.0.2", prefix: 16, to: "vb")
    try there.addAddress("fd00::2", prefix: 64, to: "vb")
    try there.linkUp("vb")
    try here.linkUp("va")
    // The kernel makes the link-local address and the routes on a thread of its own, once both sides are up.
    for (namespace, link) in [(here, "va"), (there, "vb")] {
      try eventually("the routes of \(link)") { try namespace.run { try Self.isReady(link) } }
    }
  }

  /// Whether a link has a link-local address that is in use, and the route to the groups.
  private static func isReady(_ link: String) throws -> Bool {
    let addresses = try KernelView.text("/proc/thread-self/net/if_inet6").split(separator: "\n").map {
      $0.split(separator: " ")
    }
    // 0x40 is IFA_F_TENTATIVE.
    let hasAddress = addresses.contains {
      $0[5] == link && $0[0].hasPrefix("fe80") && (UInt8($0[4], radix: 16) ?? 0x40) & 0x40 == 0
    }
    let routes = try KernelView.text("/proc/thread-self/net/ipv6_route").split(separator: "\n").map {
      $0.split(separator: " ")
    }
    return hasAddress && routes.contains { $0[9] == link && $0[0].hasPrefix("ff00") && $0[1] == "08" }
  }

  /// The groups of a link, as the kernel lists them for a namespace.
  func groups(in namespace: NetworkNamespace, of link: String) throws -> Set<String> {
    try namespace.run {
      var found: Set<String> = []
      var isLink = false
      for line in try KernelView.text("/proc/thread-self/net/igmp").split(separator: "\n").dropFirst() {
        let words = line.split(separator: " ").flatMap { $0.split(separator: "\t") }
        if line.first?.isNumber == true {
          isLink = words[1] == link
        } else if isLink, let raw = UInt32(words[0], radix: 16) {
          found.insert("\(IPv4Address(rawValue: raw.byteSwapped))")
        }
      }
      for line in try KernelView.text("/proc/thread-self/net/igmp6").split(separator: "\n") {
        let words = line.split(separator: " ")
        if words[1] == link { found.insert(String(words[2])) }
      }
      return found
    }
  }
}

/// A group of each version, its text in the kernel's lists, and the addresses of two senders.
struct TestGroup: Sendable, CustomTestStringConvertible {
  let group: IPAddress
  let inKernel: String
  let senders: [IPAddress]
  let any: SocketAddress
  /// The family of the socket that joins.
  var family: AddressFamily

  var testDescription: String { "\(group), joined by \(family)" }

  static let four = TestGroup(
    group: "239.7.1.2", inKernel: "239.7.1.2", senders: ["10.9.0.1", "10.9.1.1"], any: .any(port: 0), family: .ipv4)
  static let six = TestGroup(
    group: "ff15::7:9", inKernel: "ff150000000000000000000000070009", senders: ["fd00::1", "fd00::11"],
    any: .any6(port: 0), family: .ipv6)
  /// An IPv6 socket that joins an IPv4 group.
  static let both = TestGroup(
    group: "239.7.1.2", inKernel: "239.7.1.2", senders: ["10.9.0.1", "10.9.1.1"], any: .any6(port: 0), family: .ipv6)
  static let all = [four, six, both]

  init(
    group: String, inKernel: String, senders: [String], any: SocketAddress, family: AddressFamily
  ) {
    self.group = IPAddress(group)!
    self.inKernel = inKernel
    self.senders = senders.map { IPAddress($0)! }
    self.any = any
    self.family = family
  }

  /// A socket that sends from this address to groups on the link, and to members of its own machine.
  func sender(from address: IPAddress, on link: String, in namespace: NetworkNamespace) throws -> DatagramSocket {
    try namespace.run { () throws in
      let socket = try DatagramSocket.bind(.ip(address, port: 0))
      if address.family == .ipv4 {
        try socket.set(.multicastInterface, to: NetworkInterface.named(link).index)
      } else {
        #expect(try socket.set(.multicastInterface6, to: NetworkInterface.named(link).index) > 0)
      }
      return socket
    }
  }
}

@Suite("Multicast: a socket receives from the groups that it joined, while it is a member", .onThreads)
struct Multicast {
  @Test(
    "a member receives, from another machine too; the kernel lists the membership until it leaves, or is closed",
    .needsVeth, arguments: TestGroup.all)
  func membership(group: TestGroup) throws {
    let link = try OneLink()
    let port = try link.there.run { () throws -> UInt16 in
      let member = try DatagramSocket.bind(group.any)
      let vb = try NetworkInterface.named("vb")
      let port = member.localAddress!.port!
      try member.join(group.group, on: vb)
      #expect(try link.groups(in: link.there, of: "vb").contains(group.inKernel))
      let sender = try group.sender(from: group.senders[0], on: "va", in: link.here)
      try sender.send("all", to: .ip(group.group, port: port))
      let datagram = try member.receive(within: .seconds(20))
      #expect(datagram.bytes == Array("all".utf8))
      #expect(datagram.sender?.canonical == .ip(group.senders[0], port: sender.localAddress!.port!))
      try member.leave(group.group, on: vb)
      #expect(try !link.groups(in: link.there, of: "vb").contains(group.inKernel))
      // It is no member any more: the next datagram that arrives is the one to its own address.
      try sender.send("late", to: .ip(group.group, port: port))
      let own: IPAddress = group.group.family == .ipv4 ? IPAddress("10.9.0.2")! : IPAddress("fd00::2")!
      try sender.send("own", to: .ip(own, port: port))
      #expect(try member.receive(within: .seconds(20)).bytes == Array("own".utf8))
      try member.join(group.group, on: vb)
      #expect(try link.groups(in: link.there, of: "vb").contains(group.inKernel))
      member.close()
      sender.close()
      return port
    }
    #expect(port > 0)
    // The kernel ends the memberships of a closed IPv6 socket at once too.
    #expect(try !link.groups(in: link.there, of: "vb").contains(group.inKernel))
  }

  @Test(
    "joined from one sender, the datagrams of another do not arrive; a second sender can be added and removed",
    .needsVeth, arguments: TestGroup.all)
  func sources(group: TestGroup) throws {
    let link = try OneLink()
    let member = try link.there.run { try DatagramSocket.bind(group.any) }
    let vb = try link.there.run { try NetworkInterface.named("vb") }
    let port = member.localAddress!.port!
    let first = try group.sender(from: group.senders[0], on: "va", in: link.here).share()
    let second = try group.sender(from: group.senders[1], on: "va", in: link.here).share()
    try member.join(group.group, from: group.senders[1], on: vb)
    let filter = group.group.family == .ipv4 ? "mcfilter" : "mcfilter6"
    let listed = try link.there.run { try KernelView.text("/proc/thread-self/net/\(filter)") }
    #expect(listed.split(separator: "\n").dropFirst().count == 1, "\(listed)")
    func send() throws {
      for (sender, text) in [(0, "first"), (1, "second")] {
        if sender == 0 { try first.send(text, to: .ip(group.group, port: port)) }
        if sender == 1 { try second.send(text, to: .ip(group.group, port: port)) }
      }
    }
    try send()
    #expect(try member.receive(within: .seconds(20)).bytes == Array("second".utf8))
    try member.join(group.group, from: group.senders[0], on: vb)
    try send()
    #expect(try member.receive(within: .seconds(20)).bytes == Array("first".utf8))
    #expect(try member.receive(within: .seconds(20)).bytes == Array("second".utf8))
    try member.leave(group.group, from: group.senders[1], on: vb)
    try second.send("unheard", to: .ip(group.group, port: port))
    try first.send("heard", to: .ip(group.group, port: port))
    #expect(try member.receive(within: .seconds(20)).bytes == Array("heard".utf8))
    let again = #expect(throws: SocketError.self) { try member.join(group.group, from: group.senders[0], on: vb) }
    #expect(again?.cause == .system(.addressNotAvailable), "\(again!)")
    #expect("\(again!)".contains("\(group.group) from \(group.senders[0]) on vb: this socket hears this sender"))
    let twice = #expect(throws: SocketError.self) { try member.leave(group.group, from: group.senders[1], on: vb) }
    #expect(twice?.cause == .system(.addressNotAvailable), "\(twice!)")
    #expect("\(twice!)".contains("is no member"))
    member.close()
    first.close()
    second.close()
  }

  /// A socket at a port that it shares with others.
  private static func sharing(_ address: SocketAddress) throws -> SharedDatagramSocket {
    let socket = try DatagramSocket(address.family)
    try socket.set(.reuseAddress, to: true)
    try socket.bind(to: address)
    return socket.share()
  }

  @Test(
    "a socket that joined a group does not receive from the group of another socket with its port, unless it asks",
    .needsVeth, arguments: [TestGroup.four, .six])
  func onlyOwn(group: TestGroup) throws {
    let link = try OneLink()
    try link.there.run { () throws in
      let vb = try NetworkInterface.named("vb")
      let stranger = IPAddress(group.family == .ipv4 ? "239.7.1.99" : "ff15::7:99")!
      let first = try Multicast.sharing(group.any)
      let port = first.localAddress!.port!
      let second = try Multicast.sharing(.ip(group.any.ip!, port: port))
      try first.join(group.group, on: vb)
      try second.join(stranger, on: vb)
      #expect(try first.option(group.family == .ipv4 ? .multicastAll : .multicastAll6) == false)
      let sender = try group.sender(from: group.senders[0], on: "va", in: link.here)
      try sender.send("theirs", to: .ip(stranger, port: port))
      try sender.send("ours", to: .ip(group.group, port: port))
      #expect(try first.receive(within: .seconds(20)).bytes == Array("ours".utf8))
      #expect(try second.receive(within: .seconds(20)).bytes == Array("theirs".utf8))
      try first.set(group.family == .ipv4 ? .multicastAll : .multicastAll6, to: true)
      try sender.send("for all", to: .ip(stranger, port: port))
      #expect(try first.receive(within: .seconds(20)).bytes == Array("for all".utf8))
      #expect(try second.receive(within: .seconds(20)).bytes == Array("for all".utf8))
      for socket in [first, second, sender.share()] { socket.close() }
    }
  }

  @Test(
    "without loop no member of the own machine hears a datagram; hops are 1 until they are set, as Python sees",
    .needsVeth, .needsProgram("python3"), arguments: [TestGroup.four, .six])
  func loopAndHops(group: TestGroup) throws {
    let link = try OneLink()
    let member = try link.here.run { try DatagramSocket.bind(group.any) }
    let port = member.localAddress!.port!
    try member.join(group.group, on: try link.here.run { try NetworkInterface.named("va") })
    let sender = try group.sender(from: group.senders[0], on: "va", in: link.here)
    let script = """
      import socket, struct, sys
      six = ":" in sys.argv[1]
      s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
      s.bind(("", int(sys.argv[2])))
      link = socket.if_nametoindex("vb")
      if six:
          group = socket.inet_pton(socket.AF_INET6, sys.argv[1])
          s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("=I", link))
          s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
      else:
          group = socket.inet_aton(sys.argv[1])
          s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + struct.pack("=4si", b"", link))
          s.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
      print("ready", flush=True)
      while True:
          data, control, flags, peer = s.recvmsg(100, 100)
          print(data.decode(), struct.unpack("=i", control[0][2])[0], flush=True)
      """
    let program = try #require(Programs.find("python3"))
    try link.there.run { () throws in
      try withChild(program, ["-u", "-c", script, "\(group.group)", "\(port)"]) { child in
        #expect(try child.readLine() == "ready")
        try sender.send("one", to: .ip(group.group, port: port))
        #expect(try child.readLine() == "one 1")
        #expect(try member.receive(within: .seconds(20)).bytes == Array("one".utf8))
        let isFour = group.family == .ipv4
        #expect(try sender.set(isFour ? .multicastTTL : .multicastHops, to: 7) == 7)
        #expect(try sender.set(isFour ? .multicastLoop : .multicastLoop6, to: false) == false)
        try sender.send("seven", to: .ip(group.group, port: port))
        #expect(try child.readLine() == "seven 7")
        #expect(try sender.set(isFour ? .multicastLoop : .multicastLoop6, to: true))
        try sender.send("last", to: .ip(group.group, port: port))
        #expect(try child.readLine() == "last 7")
        #expect(try member.receive(within: .seconds(20)).bytes == Array("last".utf8))
      }
    }
    member.close()
    sender.close()
  }

  @Test("the errors of joining and leaving name the group, the interface and the remedy", .needsNamespaces)
  func errors() throws {
    let namespace = try NetworkNamespace()
    try namespace.run { () throws in
      let lo = try NetworkInterface.named("lo")
      let socket = try DatagramSocket.bind(.any(port: 0))
      let group = IPAddress("239.1.2.3")!
      func refused(_ part: String, _ cause: SocketError.Cause?, _ body: () throws(SocketError) -> Void) {
        do throws(SocketError) {
          try body()
          Issue.record("not refused: \(part)")
        } catch {
          #expect("\(error)".contains(part), "\(error)")
          if let cause { #expect(error.cause == cause, "\(error)") }
        }
      }
      refused("10.1.2.3 is not a multicast group", nil) { () throws(SocketError) in
        try socket.join(IPAddress("10.1.2.3")!)
      }
      refused("an IPv4 socket cannot join ff15::1", nil) { () throws(SocketError) in
        try socket.join(IPAddress("ff15::1")!)
      }
      refused("fd00::1 cannot send to 239.1.2.3", nil) { () throws(SocketError) in
        try socket.join(group, from: IPAddress("fd00::1")!)
      }
      refused("0.0.0.0 is no address of a sender", nil) { () throws(SocketError) in
        try socket.join(group, from: .v4(.any))
      }
      refused("name one with on:", .system(.operationNotSupportedByDevice)) { () throws(SocketError) in
        try socket.join(group)
      }
      try socket.join(group, on: lo)
      refused("239.1.2.3 on lo: this socket is a member already", .system(.addressInUse)) { () throws(SocketError) in
        try socket.join(group, on: lo)
      }
      refused("239.1.2.4 on lo: this socket is no member", .system(.addressNotAvailable)) { () throws(SocketError) in
        try socket.leave(IPAddress("239.1.2.4")!, on: lo)
      }
      try namespace.setSysctl("net/ipv4/igmp_max_memberships", "3")
      try socket.join(IPAddress("239.1.2.5")!, on: lo)
      try socket.join(IPAddress("::ffff:239.1.2.6")!, on: lo)
      refused("net.ipv4.igmp_max_memberships", .system(.noBufferSpace)) { () throws(SocketError) in
        try socket.join(IPAddress("239.1.2.7")!, on: lo)
      }
      refused("there is no such interface any more", .system(.operationNotSupportedByDevice)) {
        () throws(SocketError) in
        try socket.join(IPAddress("239.1.2.8")!, on: NetworkInterface(name: "gone0", index: 999, flags: 0))
      }
      let unix = try DatagramSocket(.unix)
      refused("only UDP sockets join groups", nil) { () throws(SocketError) in try unix.join(group, on: lo) }
      unix.close()
      let shared = socket.share()
      shared.close()
      refused("closed by this program", .closed) { () throws(SocketError) in try shared.join(group, on: lo) }
      refused("closed by this program", .closed) { () throws(SocketError) in try shared.leave(group, on: lo) }
    }
  }

  @Test("a member that waits in a task receives, and is woken by a close and by a cancellation", .needsNamespaces)
  func tasks() throws {
    let namespace = try NetworkNamespace()
    let (shared, sender) = try namespace.run { () throws in
      let lo = try NetworkInterface.named("lo")
      let socket = try DatagramSocket.bind(.any(port: 0))
      try socket.join(IPAddress("239.1.2.3")!, on: lo)
      let sender = try DatagramSocket.bind(.loopback(port: 0))
      try sender.set(.multicastInterface, to: lo.index)
      return (socket.share(), sender.share())
    }
    let address = SocketAddress.ip(IPAddress("239.1.2.3")!, port: shared.localAddress!.port!)
    let receiving = errand { try await shared.receive(within: .seconds(60)).bytes }
    try sender.send([1], to: address)
    #expect(try receiving.join() == [1])
    let cancelled = errand { try await shared.receive(within: .seconds(60)).bytes }
    cancelled.cancel()
    #expect(try cancelled.refusal().cause == .cancelled)
    let closed = errand { try await shared.receive(within: .seconds(60)).bytes }
    shared.close()
    #expect(try closed.refusal().cause == .closed)
    sender.close()
  }
}
