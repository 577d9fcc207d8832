import TestTraits
import Testing

@testable import FinDoctor

@Suite("Addresses are printed as the RFCs say", .onThreads)
struct AddressTextTests {
  private func v6(_ high: UInt64, _ low: UInt64, interface: UInt32 = 0) -> NetworkAddress {
    NetworkAddress(AddressBits(high: high, low: low), isIPv6: true, interface: interface)
  }

  @Test(
    "IPv4, IPv6 with the longest run of zeros compressed, mapped addresses, and the interface of a link-local address")
  func text() {
    #expect(NetworkAddress(10, 0, 255, 1).with(port: 80) == "10.0.255.1:80")
    #expect(v6(0, 0).description == "::" && v6(0, 1).with(port: 443) == "[::1]:443")
    #expect(v6(0x2001_0db8_0000_0000, 1).description == "2001:db8::1")
    #expect(v6(0x2001_0db8_0000_0001, 0x0001_0001_0001_0001).description == "2001:db8:0:1:1:1:1:1")
    #expect(v6(0x0001_0000_0000_0002, 0x0000_0000_0000_0003).description == "1:0:0:2::3")
    #expect(v6(0x0001_0002_0003_0004, 0x0005_0006_0000_0000).description == "1:2:3:4:5:6::")
    #expect(v6(0, 0xffff_0a01_0203).description == "::ffff:10.1.2.3")
    #expect(v6(0xfe80 << 48, 1, interface: 2).description == "fe80::1%2" && v6(0, 1, interface: 2).description == "::1")
    #expect(v6(0, 0xffff_7f00_0001).isLoopback && v6(0, 1).isLoopback && !NetworkAddress(10, 0, 0, 1).isLoopback)
    #expect(NetworkAddress(0, 0, 0, 0).with(port: 0) == "0.0.0.0:*")
  }
}
