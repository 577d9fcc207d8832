import FinBase
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "Written addresses: the name of an interface means that interface of each socket's own network namespace", .onThreads)
struct WrittenAddressTests {
  /// Two namespaces in which `eth0` has the indices 2 and 7, and one without it.
  private var namespaces: [Namespace] {
    ([2, 7, nil] as [UInt32?]).map { index in
      var namespace = Namespace()
      namespace.interfaces["eth0"] = index
      return namespace
    }
  }

  private let bits = AddressBits(high: 0xfe80 << 48, low: 1)

  /// A listener on `[fe80::1]:80` on this interface of this namespace.
  private func listener(on interface: UInt32, in namespace: UInt16) -> InetSocket {
    var socket = InetSocket()
    socket.isIPv6 = true
    (socket.localBits, socket.localPort, socket.state) = (bits, 80, .listen)
    (socket.interface, socket.namespace) = (interface, namespace)
    return socket
  }

  @Test("an address is parsed with the number or the name of its interface; the name has an index in each namespace")
  func parsing() throws {
    let plain = try WrittenAddress(parsing: "10.0.0.1")
    #expect(plain.address == NetworkAddress(10, 0, 0, 1) && plain.interfaceName == nil)
    let numbered = try WrittenAddress(parsing: "fe80::1%3")
    #expect(numbered.address == NetworkAddress(bits, isIPv6: true, interface: 3) && numbered.interfaceName == nil)
    let named = try WrittenAddress(parsing: "fe80::1%eth0")
    #expect(named.address == NetworkAddress(bits, isIPv6: true) && named.interfaceName == "eth0")
    #expect(namespaces.map { named.interface(in: $0) } == [2, 7, nil])
    #expect(namespaces.map { named.resolved(in: $0)?.interface } == [2, 7, nil])
    #expect(namespaces.map { numbered.interface(in: $0) } == [3, 3, 3])
  }

  @Test(
    "an end is parsed with its port, and the refusal says where and why",
    arguments: [
      ("[fe80::1%]:80", "nothing where an interface belongs"), ("[fe80::1%0]:80", "interface 0"),
      ("[fe80::1%a/b]:80", "in an interface's name"), ("fe80::1%eth0:80", "without brackets"),
      ("localhost:80", "names are not resolved"), ("127.0.0.1", "no port"), ("127.1:80", "two numbers"),
      ("127.0.0.1:65536", "a port above 65535"), ("127.0.0.1:http", "in a port"), ("", "nothing where an address"),
    ])
  func refusals(text: String, reason: String) {
    do throws(AddressRefusal) {
      let end = try WrittenEnd(parsing: text)
      Issue.record("\(text) was parsed as \(end)")
    } catch {
      #expect(error.reason.contains(reason) && error.description.contains(text), "\(error)")
    }
  }

  @Test("an end without an address is any address")
  func anywhere() throws {
    for text in [":80", "*:80"] {
      let end = try WrittenEnd(parsing: text)
      #expect(end.address == nil && end.port == 80)
    }
    let end = try WrittenEnd(parsing: "[fe80::1%eth0]:80")
    #expect(end.address?.interfaceName == "eth0" && end.port == 80)
  }

  @Test("a search and a target match by the index that the name has in the socket's namespace")
  func matching() throws {
    let end = try WrittenEnd(parsing: "[fe80::1%eth0]:80")
    let target = SocketTarget(SocketTarget.End(written: try #require(end.address), port: 80))
    var census = Census(when: Census.Moment(monotonic: 0, wall: 0))
    census.namespaces = namespaces
    // The right interface in either namespace; the other namespace's index; a namespace without the interface.
    let expected: [(UInt32, UInt16, Bool)] = [
      (2, 0, true), (7, 1, true), (7, 0, false), (2, 1, false), (2, 2, false),
    ]
    for (interface, namespace, isMeant) in expected {
      let socket = listener(on: interface, in: namespace)
      census.sockets = [socket]
      let found = census.references(at: AddressPort(written: end.address, port: 80))
      #expect(found.isEmpty != isMeant, "interface \(interface) in namespace \(namespace)")
      #expect(target.matches(socket, in: namespaces[Int(namespace)]) == isMeant)
    }
  }
}
