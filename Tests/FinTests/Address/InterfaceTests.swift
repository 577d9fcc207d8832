import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("The list of network interfaces is the kernel's", .onThreads)
struct Interfaces {
  /// A row of `/proc/net/if_inet6`: the address as 32 digits, the index and the prefix length.
  private static func inet6() throws -> Set<String> {
    let text = try KernelView.text("/proc/thread-self/net/if_inet6")
    return Set(
      text.split(separator: "\n").map { line in
        let fields = line.split(separator: " ")
        return "\(fields[0]) \(Int(fields[1], radix: 16)!) \(Int(fields[2], radix: 16)!) \(fields[5])"
      })
  }

  private static func digits(_ ip: IPv6Address) -> String {
    [ip.high, ip.low].map { half in
      let text = String(half, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }.joined()
  }

  /// The IPv6 addresses of the list, in the same form.
  private static func listed(_ all: [NetworkInterface]) -> Set<String> {
    Set(
      all.flatMap { interface in
        interface.addresses.compactMap { address in
          guard case .v6(let ip) = address.ip else { return nil }
          return "\(digits(ip)) \(interface.index) \(address.prefixLength) \(interface.name)"
        }
      })
  }

  private static func names() throws -> [String] {
    let lines = try KernelView.text("/proc/thread-self/net/dev").split(separator: "\n").dropFirst(2)
    return lines.map { String($0.prefix { $0 != ":" }.drop { $0 == " " }) }
  }

  @Test("all interfaces are in the list, with their indexes, and the loopback with its address")
  func here() throws {
    let all = try NetworkInterface.all
    #expect(all.map(\.name).sorted() == (try Interfaces.names().sorted()))
    for interface in all {
      let index = unsafe if_nametoindex(interface.name)
      #expect(interface.index == index)
    }
    let loopback = try NetworkInterface.named("lo")
    #expect(loopback.isLoopback && loopback.isUp && loopback.isRunning && loopback.hardwareAddress == [])
    #expect(loopback.addresses.contains { $0.description == "127.0.0.1/8" })
    #expect(loopback.description.hasPrefix("lo (\(loopback.index)): 127.0.0.1/8"))
    if Privileges.hasIPv6 { #expect(Interfaces.listed(all) == (try Interfaces.inet6())) }
  }

  @Test("a name without an interface is refused with the names that there are")
  func missing() throws {
    let error = #expect(throws: SocketError.self) { try NetworkInterface.named("eth999") }
    #expect(
      error?.description.hasPrefix("list network interfaces: no interface is called eth999; there are: lo") == true)
  }

  @Test(
    "in a namespace: links that are up and down, their hardware addresses, several addresses with their prefixes",
    .needsVeth)
  func namespace() throws {
    let left = try NetworkNamespace()
    let right = try NetworkNamespace()
    try left.addVeth("va", to: right, as: "vb")
    for (address, prefix) in [("10.9.0.1", UInt8(24)), ("10.9.1.1", 20), ("fd00::7", 64)] {
      try left.addAddress(address, prefix: prefix, to: "va")
    }
    #expect(try left.run { try NetworkInterface.named("va") }.isUp == false)
    try left.linkUp("va")
    try right.linkUp("vb")
    // The kernel makes the link-local address on a thread of its own.
    try eventually("a link-local address") {
      try left.run { try NetworkInterface.named("va") }.addresses.contains { $0.ip.isLinkLocal }
    }
    let (all, inet6, hardware) = try left.run {
      (try NetworkInterface.all, try Interfaces.inet6(), try KernelView.links())
    }
    #expect(Set(all.map(\.name)) == ["lo", "va"])
    let va = try #require(all.first { $0.name == "va" })
    #expect(va.isUp && va.isRunning && va.isMulticast && !va.isLoopback && !va.isPointToPoint)
    #expect(va.addresses.prefix(2).map(\.description).sorted() == ["10.9.0.1/24", "10.9.1.1/20"])
    #expect(Interfaces.listed(all) == inet6)
    let linkLocal = try #require(va.addresses.first { $0.ip.isLinkLocal })
    #expect(linkLocal.ip.family == .ipv6 && linkLocal.prefixLength == 64)
    if case .v6(let ip) = linkLocal.ip { #expect(ip.scope == va.index) }
    #expect(va.hardwareAddress.count == 6 && va.hardwareAddress == hardware["va"])
    // The same list in another namespace has neither.
    #expect(try right.run { try NetworkInterface.all }.map(\.name).sorted() == ["lo", "vb"])
  }

  @Test("without a descriptor for the question, the error says so, and the next list is whole")
  func noDescriptors() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        try DescriptorTable.apart { table in
          try table.leaving(0) {
            do throws(SocketError) {
              _ = try NetworkInterface.all
              fatalError("listed without a descriptor")
            } catch {
              precondition(error.cause == .system(.tooManyOpenFiles), "\(error)")
              precondition("\(error)".contains("ulimit -n"), "\(error)")
            }
          }
          let loopback = try NetworkInterface.named("lo")
          precondition(loopback.isLoopback)
        }
      }
    }
  }
}

extension KernelView {
  /// The hardware addresses that an independent program, `ip`, reports for the namespace of this thread.
  fileprivate static func links() throws -> [String: [UInt8]] {
    guard let program = Programs.find("ip") else { return [:] }
    let text = try withChild(program, ["-o", "link"]) { try $0.readToEnd(within: .seconds(60)) }
    var found: [String: [UInt8]] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let place = words.firstIndex(of: "link/ether") else { continue }
      let name = String(words[1].prefix { $0 != "@" && $0 != ":" })
      found[name] = words[place + 1].split(separator: ":").map { UInt8($0, radix: 16)! }
    }
    return found
  }
}
