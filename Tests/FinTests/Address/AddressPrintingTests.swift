import TestTraits
import Testing

@testable import Fin

@Suite("Addresses: the printed text parses back to the same address", .onThreads)
struct AddressPrinting {
  @Test(
    "every example of RFC 5952 prints in its canonical form",
    arguments: [
      // Sections 1 and 2: the many ways to write one address.
      ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
      ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"),
      ("2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:0:1::1", "2001:db8::1:0:0:1"),
      ("2001:db8:0000:0:1::1", "2001:db8::1:0:0:1"), ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
      ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"),
      ("2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"),
      ("2001:db8:aaaa:bbbb:cccc:dddd:eeee:AaAa", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa"),
      // Section 4: leading zeros; "::" as short as possible, not for a single group, for the first of two runs; lower
      // case.
      ("2001:0db8::0001", "2001:db8::1"), ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
      ("2001:db8::0:1", "2001:db8::1"), ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
      ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
      // Section 5: an embedded IPv4 address.
      ("0:0:0:0:0:ffff:192.0.2.1", "::ffff:192.0.2.1"), ("::ffff:c000:201", "::ffff:192.0.2.1"),
      // Boundary cases.
      ("0:0:0:0:0:0:0:0", "::"), ("0:0:0:0:0:0:0:1", "::1"), ("1:0:0:0:0:0:0:0", "1::"), ("1::", "1::"),
      ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::1.2.3.4", "::102:304"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
      ("FE80::1%7", "fe80::1%7"), ("::ffff:1.2.3.4%3", "::ffff:1.2.3.4%3"),
    ])
  func oneText(_ written: String, _ printed: String) throws {
    #expect(try IPv6Address(parsing: written).description == printed)
    #expect(try IPv6Address(parsing: printed) == IPv6Address(parsing: written))
  }

  @Test("ten thousand random IP addresses of each version survive printing and parsing")
  func ipAddressesReadBack() throws {
    var dice = AddressDice(seed: 5952)
    for _ in 0..<10_000 {
      let v4 = dice.ipv4()
      #expect(try IPv4Address(parsing: v4.description) == v4)
      #expect(try IPAddress(parsing: v4.description) == .v4(v4))
      let v6 = dice.ipv6()
      #expect(try IPv6Address(parsing: v6.description) == v6)
      #expect(try IPAddress(parsing: v6.description) == .v6(v6))
    }
  }

  @Test("ten thousand random socket addresses survive printing and parsing, as addresses and as endpoints")
  func socketAddressesReadBack() throws {
    var dice = AddressDice(seed: 107)
    for _ in 0..<10_000 {
      let address = try dice.address()
      #expect(try SocketAddress(parsing: address.description) == address)
      let endpoint = Endpoint(address)
      #expect(endpoint.address == address)
      #expect(try Endpoint(parsing: endpoint.description) == endpoint)
      if case .unix(let path) = address { #expect(try UnixPath(parsing: path.description) == path) }
    }
  }

  @Test("twenty thousand random texts parse and print consistently, or are refused at a place inside the text")
  func nonsense() {
    var dice = AddressDice(seed: 53)
    var readable = 0
    for _ in 0..<20_000 {
      let text = dice.text()
      do throws(AddressError) {
        let endpoint = try Endpoint(parsing: text)
        readable += 1
        #expect(Endpoint(stringLiteral: endpoint.description) == endpoint, "\(text.debugDescription)")
      } catch {
        #expect(error.text == text)
        #expect((0...text.utf8.count).contains(error.offset))
      }
      if let address = SocketAddress(text) {
        #expect(SocketAddress(address.description) == address, "\(text.debugDescription)")
        #expect(Endpoint(stringLiteral: text).address == address)
      }
      if let address = IPAddress(text) { #expect(IPAddress(address.description) == address) }
      if let path = UnixPath(text) { #expect(UnixPath(path.description) == path) }
    }
    #expect(readable > 300, "the dice must hit readable texts too")
  }

  @Test("printed endpoints parse back, including those with a host or service name")
  func endpointsReadBack() {
    for text in [
      "localhost:80", "localhost:http", ":0", ":http", "[::1]:http", "1.2.3.4:http", "a.example.:1", "unix:-:",
    ] {
      #expect(Endpoint(stringLiteral: text).description == text)
    }
    #expect(Endpoint("*:80").description == ":80")
    #expect(Endpoint("no\nport").description == "no\\x0aport")
  }

  @Test("unprintable bytes are escaped as numbers, printable ones are shown as they are")
  func unixPathsPrint() throws {
    #expect(try UnixPath(path: "/run/é b.sock").description == "/run/é b.sock")
    #expect(try UnixPath(path: [0x2F, 0xFF, 0x0A, 0xC3]).description == "/\\xff\\x0a\\xc3")
    #expect(try UnixPath(path: "/a\u{202E}b\u{2028}").description == "/a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8")
    #expect(try UnixPath(path: "/run/a\\x2db").description == "/run/a\\x5cx2db")
    #expect(try UnixPath(path: "@file").description == "\\x40file")
    #expect(try UnixPath(path: "(unnamed)").description == "\\x28unnamed)")
    #expect(try UnixPath(abstract: "a\0b").description == "@a\\x00b")
    #expect(try UnixPath(abstract: "").description == "@")
    #expect(UnixPath.unnamed.description == "(unnamed)")
    #expect(try SocketAddress.unix("x.sock").description == "unix:x.sock")
    #expect(try SocketAddress.unix("@x\0y").path?.bytes == [0x78, 0, 0x79])
  }

  @Test("a path has at most 107 bytes, and so has an abstract name")
  func lengths() throws {
    let longest = "/" + String(repeating: "p", count: 106)
    #expect(try SocketAddress.unix(longest).path?.bytes.count == 107)
    #expect(throws: AddressError.self) { _ = try SocketAddress.unix(longest + "p") }
    #expect(try SocketAddress.unix("@" + longest).path?.bytes.count == 107)
    #expect(throws: AddressError.self) { _ = try SocketAddress.unix("@" + longest + "p") }
    #expect(throws: AddressError.self) { _ = try SocketAddress.unix("") }
    #expect(throws: AddressError.self) { _ = try UnixPath(path: [0x2F, 0]) }
    #expect(try UnixPath(abstract: [UInt8](repeating: 0, count: 107)).bytes.count == 107)
  }

  @Test("addresses are ordered, and report their kind: loopback, private, link-local, mapped")
  func kinds() throws {
    #expect(IPv4Address(9, 255, 255, 255) < IPv4Address(10, 0, 0, 0))
    #expect(IPAddress.v4(.broadcast) < .v6(.any))
    #expect(IPv6Address.loopback < .loopback.scoped(1))
    #expect(IPv4Address(127, 9, 9, 9).isLoopback && IPv4Address(224, 0, 0, 1).isMulticast)
    #expect(IPv4Address(172, 31, 0, 1).isPrivate && !IPv4Address(172, 32, 0, 1).isPrivate)
    #expect(IPv4Address(169, 254, 0, 1).isLinkLocal)
    #expect(try IPv6Address(parsing: "febf::1").isLinkLocal && !IPv6Address(parsing: "fec0::1").isLinkLocal)
    #expect(try IPv6Address(parsing: "fd00::1").isUniqueLocal && IPv6Address(parsing: "ff02::1").isMulticast)
    let mapped = IPv6Address(mapping: .loopback)
    #expect(mapped.v4Mapped == .loopback && IPv6Address.loopback.v4Mapped == nil)
    #expect(IPAddress.v6(mapped).canonical == .v4(.loopback))
    #expect(SocketAddress.v6(mapped, port: 5).canonical == .loopback(port: 5))
    #expect(SocketAddress.v6(mapped, port: 5) != .loopback(port: 5))
    #expect(IPAddress.v6(mapped).isLoopback)
    #expect(IPv6Address.loopback.scoped(1).interfaceName() == "lo")
    #expect(IPv6Address.loopback.interfaceName() == nil)
    #expect("\(AddressFamily.ipv6) \(SocketKind.sequencedPacket)" == "IPv6 sequenced packet")
  }
}
