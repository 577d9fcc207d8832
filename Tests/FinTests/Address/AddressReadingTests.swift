import TestTraits
import Testing

@testable import Fin

@Suite("Addresses: text is parsed exactly, or refused with the place of the error", .onThreads)
struct AddressReading {
  struct Malformed: CustomTestStringConvertible, Sendable {
    let text: String
    let offset: Int
    let saying: String
    init(_ text: String, _ offset: Int, _ saying: String) {
      (self.text, self.offset, self.saying) = (text, offset, saying)
    }
    var testDescription: String { "\(text.debugDescription) at \(offset)" }
  }

  @Test(
    "an IPv4 text that is not four plain decimal numbers is refused with the place of the error",
    arguments: [
      Malformed("", 0, "nothing where an IPv4 address belongs"),
      Malformed("1.2.3", 5, "three numbers where four belong"),
      Malformed("1", 1, "one number where four belong"),
      Malformed("1.2.3.4.5", 8, "five numbers where four belong"),
      Malformed("1.2.3.4.", 7, "a dot after the fourth number"),
      Malformed("1.2.3.", 6, "nothing where a number"),
      Malformed(".1.2.3", 0, "nothing where a number"),
      Malformed("1..2.3", 2, "nothing where a number"),
      Malformed("1.2.3.256", 6, "above 255"),
      Malformed("1.2.3.99999999999999999999", 6, "above 255"),
      Malformed("01.2.3.4", 0, "leading zero"),
      Malformed("1.2.3.00", 6, "leading zero"),
      Malformed("0177.0.0.1", 0, "octal"),
      Malformed("0x7f.0.0.1", 1, "\"x\""),
      Malformed("1.2.3.4 ", 7, "\" \""),
      Malformed("1.2.-3.4", 4, "\"-\""),
      Malformed("1.2.3.4\0", 7, "\"\\x00\""),
      Malformed("1.2.é.4", 4, "\"é\""),
      Malformed("+1.2.3.4", 0, "\"+\""),
      Malformed("١.2.3.4", 0, "\"١\""),
    ])
  func malformedIPv4(_ case: Malformed) {
    expect(`case`) { () throws(AddressError) in _ = try IPv4Address(parsing: `case`.text) }
    #expect(IPv4Address(`case`.text) == nil)
  }

  @Test(
    "an IPv6 text that RFC 4291 does not allow is refused with the place of the error",
    arguments: [
      Malformed("", 0, "nothing where an IPv6 address belongs"),
      Malformed(":", 0, "one colon at the beginning"),
      Malformed(":1", 0, "one colon at the beginning"),
      Malformed("1:2:3:4:5:6:7:", 13, "one colon at the end"),
      Malformed("1::2:", 4, "one colon at the end"),
      Malformed(":::", 2, "three colons"),
      Malformed("1:::2", 3, "three colons"),
      Malformed("1::2::3", 4, "a second \"::\""),
      Malformed("::1::", 3, "a second \"::\""),
      Malformed("1:2:3:4:5:6:7", 13, "seven groups where eight belong"),
      Malformed("1", 1, "one group where eight belong"),
      Malformed("1:2:3:4:5:6:7:8:9", 16, "more than eight groups"),
      Malformed("1:2:3:4:5:6:7:8::", 15, "beside eight groups"),
      Malformed("::1:2:3:4:5:6:7:8", 0, "beside eight groups"),
      Malformed("12345::", 4, "a fifth hexadecimal digit"),
      Malformed("::00001", 6, "a fifth hexadecimal digit"),
      Malformed("fe80::g", 6, "\"g\""),
      Malformed("::1 ", 3, "\" \""),
      Malformed("[::1]", 0, "\"[\""),
      Malformed("1.2.3.4::", 0, "before the end"),
      Malformed("::1.2.3", 7, "three numbers where four belong"),
      Malformed("::1.2.3.400", 8, "above 255"),
      Malformed("1:2:3:4:5:6:7:1.2.3.4", 14, "more than eight groups"),
      Malformed("::1%", 4, "nothing where an interface belongs"),
      Malformed("::1%0", 4, "interface 0"),
      Malformed("::1%nope", 4, "no interface is called \"nope\""),
      Malformed("::1%4294967296", 4, "no interface is called"),
      Malformed("::1%a-name-of-sixteen", 4, "no interface is called"),
      Malformed("::1%lo\0x", 6, "\"\\x00\""),
      Malformed("::1%lo/", 6, "\"/\""),
      Malformed("::1%lo%lo", 4, "no interface is called"),
      Malformed("%lo", 0, "nothing where an IPv6 address belongs"),
    ])
  func malformedIPv6(_ case: Malformed) {
    expect(`case`) { () throws(AddressError) in _ = try IPv6Address(parsing: `case`.text) }
    #expect(IPv6Address(`case`.text) == nil)
  }

  @Test(
    "an ambiguous or meaningless endpoint is refused with the place of the error",
    arguments: [
      Malformed("", 0, "write host:port or a path"),
      Malformed("localhost", 9, "no port"),
      Malformed("65536", 5, "no port"),
      Malformed("80x", 3, "no port"),
      Malformed("localhost:", 10, "nothing where a port belongs"),
      Malformed(":", 1, "nothing where a port belongs"),
      Malformed("localhost:65536", 10, "above 65535"),
      Malformed("localhost:99999999999999999999", 10, "above 65535"),
      Malformed("localhost:-1", 10, "\"-\" in a port"),
      Malformed("localhost:80x", 12, "\"x\" in a port"),
      Malformed("localhost: 80", 10, "\" \" in a port"),
      Malformed("localhost:080", 10, "leading zero"),
      Malformed("localhost:ht tp", 12, "in a service's name"),
      Malformed("-1:80", 0, "\"-\""),
      Malformed("1.2.3.4.5:80", 8, "five numbers where four belong"),
      Malformed("127.1:80", 5, "two numbers where four belong"),
      Malformed("0x7f000001:80", 1, "\"x\""),
      Malformed("2130706433:80", 0, "above 255"),
      Malformed("1.2.3.4.:80", 7, "a dot after the fourth number"),
      Malformed("host.0x1:80", 0, "\"h\""),
      Malformed("::1:80", 0, "write [::1]:80"),
      Malformed("::1", 0, "without brackets"),
      Malformed("::1%nope", 0, "without brackets"),
      Malformed("fe80::1%lo:80", 0, "write [fe80::1%lo]:80"),
      Malformed("a.example:b:80", 11, "a second colon"),
      Malformed("[::1", 4, "no \"]\""),
      Malformed("[::1]", 5, "no port"),
      Malformed("[::1]80", 5, "where a colon and the port belong"),
      Malformed("[::1]:", 6, "nothing where a port belongs"),
      Malformed("[]:80", 1, "nothing where an IPv6 address belongs"),
      Malformed("[1.2.3.4]:80", 1, "without brackets"),
      Malformed("[localhost]:80", 1, "without brackets"),
      Malformed("[::1%nope]:80", 5, "no interface is called \"nope\""),
      Malformed("[::g]:80", 3, "\"g\""),
      Malformed("a..b:80", 2, "between two dots"),
      Malformed(".a:80", 0, "between two dots"),
      Malformed("münchen.example:80", 1, "\"ü\" in a host's name"),
      Malformed("http://a.example/", 5, "\"/\""),
      Malformed("a/b:80", 1, "a path begins with / or ./"),
      Malformed("a b:80", 1, "\" \" in a host's name"),
      Malformed("a\0b:80", 1, "\"\\x00\""),
      Malformed(String(repeating: "a", count: 64) + ":80", 63, "longer than 63"),
      Malformed(String(repeating: "a.", count: 127) + "b:80", 253, "longer than 253"),
      Malformed("/run/a\0b", 6, "a NUL in a path"),
      Malformed("/run/a\\x00b", 6, "a NUL in a path"),
      Malformed("/run/a\\y", 6, "written \\x5c"),
      Malformed("/run/a\\x4", 6, "written \\x5c"),
      Malformed("unix:", 5, "nothing where a path belongs"),
      Malformed("/" + String(repeating: "p", count: 107), 107, "108 bytes"),
      Malformed("unix:/" + String(repeating: "p", count: 107), 112, "108 bytes"),
      Malformed("@" + String(repeating: "n", count: 108), 108, "108 bytes"),
      Malformed("/\\x41" + String(repeating: "p", count: 106), 110, "108 bytes"),
    ])
  func malformedEndpoint(_ case: Malformed) {
    expect(`case`) { () throws(AddressError) in _ = try Endpoint(parsing: `case`.text) }
    #expect(SocketAddress(`case`.text) == nil)
    // A literal stores the same refusal, and `resolve` throws it.
    let literal = Endpoint(stringLiteral: `case`.text)
    #expect(literal.problem?.offset == `case`.offset)
    #expect(throws: ResolveError.self) { _ = try literal.resolve() }
  }

  private func expect(_ malformed: Malformed, refuses read: () throws(AddressError) -> Void) {
    do throws(AddressError) {
      try read()
      Issue.record("\(malformed.text.debugDescription) was read")
    } catch {
      #expect(error.text == malformed.text)
      #expect(error.offset == malformed.offset)
      #expect(error.reason.contains(malformed.saying), "\(error.reason)")
    }
  }

  @Test("a host name, or no host, is refused where a numeric address is required")
  func exactAddressesOnly() {
    for text in ["localhost:80", "1.2.3.4:http", ":80", "*:80"] { #expect(SocketAddress(text) == nil, "\(text)") }
  }

  @Test("a parse error names the problem and the character, and escapes terminal control characters")
  func refusalsInWords() {
    #expect(
      Endpoint("1.2.3.4.5:80").problem?.description
        == "address \"1.2.3.4.5:80\": five numbers where four belong, at character 8")
    let hostile = Endpoint(stringLiteral: "é\u{1B}[2J\u{202E}:80x")
    #expect(
      hostile.problem?.description
        == "address \"é\\x1b[2J\\xe2\\x80\\xae:80x\": \"é\" in a host's name, which must be ASCII: "
        + "write the name in its xn-- form, at character 0")
    let long = Endpoint(stringLiteral: String(repeating: "a", count: 1_000_000))
    #expect(long.problem.map { $0.description.utf8.count < 600 } == true)
    #expect(AddressError(text: "ab", offset: 9, reason: "").offset == 2)
    #expect(AddressError(text: "ab", offset: -9, reason: "").offset == 0)
  }

  @Test("a host called unix is refused, because unix: begins a path")
  func hostCalledUnix() {
    #expect(Endpoint(host: "unix", port: 80).problem?.reason.contains("unix.") == true)
    #expect(Endpoint("unix:80").address == .unix(try! UnixPath(path: "80")))
  }

  @Test("each way to write an endpoint parses to the address that it means")
  func meanings() throws {
    #expect(Endpoint("1.2.3.4:80").address == .v4(IPv4Address(1, 2, 3, 4), port: 80))
    #expect(Endpoint("[::1]:0").address == .loopback6(port: 0))
    #expect(
      Endpoint("[fe80::1%1]:65535").address == .v6(IPv6Address(0xFE80, 0, 0, 0, 0, 0, 0, 1, scope: 1), port: 65535))
    #expect(Endpoint("[::1%lo]:1").address == .v6(.loopback.scoped(1), port: 1))
    #expect(Endpoint("/run/x.sock").address == (try .unix("/run/x.sock")))
    #expect(Endpoint("./x.sock").address == (try .unix("./x.sock")))
    #expect(Endpoint("../x.sock").address == (try .unix("../x.sock")))
    #expect(Endpoint("unix:x.sock").address == (try .unix("x.sock")))
    #expect(Endpoint("@name").address == .unix(try UnixPath(abstract: "name")))
    #expect(Endpoint("/run/a b:80").address == (try .unix("/run/a b:80")))
    #expect(Endpoint(host: "::1", port: 80) == "[::1]:80")
    #expect(Endpoint(host: "[::1]", port: 80) == "[::1]:80")
    #expect(Endpoint(host: "1.2.3.4", port: 80) == "1.2.3.4:80")
    #expect(Endpoint(host: "", port: 80) == "*:80")
    #expect(Endpoint(host: "a_b.example.", port: 80) == "a_b.example.:80")
    #expect(Endpoint(.loopback(port: 80)) == "127.0.0.1:80")
    let port = 8080
    #expect(Endpoint("127.0.0.1:\(port)") == Endpoint(.loopback(port: 8080)))
    #expect(Endpoint("localhost:http").problem == nil)
    #expect(Endpoint("localhost:http").address == nil)
  }
}
