import Glibc
import TestTraits
import Testing

@testable import Fin

@Suite("Addresses: sockaddr conversion is exact, and never reads beyond the kernel's length", .onThreads)
struct Sockaddrs {
  @Test("ten thousand random addresses survive conversion to a sockaddr and back")
  func bytesReadBack() throws {
    var dice = AddressDice(seed: 110)
    for _ in 0..<10_000 {
      let address = try dice.address()
      let back = unsafe address.withSockaddr { pointer, length in unsafe SocketAddress(pointer, length: length) }
      #expect(back == address)
    }
  }

  @Test("withSockaddr rethrows its body's error with the type")
  func typedThrow() {
    do throws(AddressError) {
      try unsafe SocketAddress.loopback(port: 1).withSockaddr { (_, _) throws(AddressError) -> Void in
        throw AddressError(text: "", offset: 0, reason: "thrown")
      }
      Issue.record("nothing was thrown")
    } catch {
      #expect(error.reason == "thrown")
    }
  }

  @Test(
    "a bound socket's getsockname gives the address it was bound to",
    arguments: [SocketAddress.loopback(port: 0), .any(port: 0), .v4(IPv4Address(127, 3, 2, 1), port: 0)])
  func boundIP(_ address: SocketAddress) throws {
    let bound = try #require(try Self.bind(address))
    #expect(bound.ip == address.ip)
    #expect(bound.port != 0)
  }

  @Test(
    "a bound IPv6 socket's getsockname gives the address it was bound to",
    .enabled(if: Self.hasIPv6), arguments: [SocketAddress.loopback6(port: 0), .any6(port: 0)])
  func boundIPv6(_ address: SocketAddress) throws {
    let bound = try #require(try Self.bind(address))
    #expect(bound.ip == address.ip)
    #expect(bound.port != 0)
  }

  @Test("abstract names of any bytes and any length come back from the kernel unchanged")
  func boundAbstract() throws {
    for count in [1, 2, 50, 106, 107] {
      let unique = Array("fin-\(getpid())-".utf8).prefix(count)
      let name = unique + (unique.count..<count).map { UInt8($0 % 3 == 0 ? 0 : 0xFF - $0) }
      let address = SocketAddress.unix(try UnixPath(abstract: name))
      #expect(try Self.bind(address) == address)
    }
    // The empty name is not bound, because a machine has only one: only its bytes are checked.
    let empty = SocketAddress.unix(try UnixPath(abstract: ""))
    #expect(unsafe empty.withSockaddr { _, length in length } == 3)
  }

  @Test("paths of 1 to 107 bytes come back from the kernel, and so does one of 108 that another program bound")
  func boundPaths() throws {
    var template = Array("/tmp/fin-XXXXXX".utf8CString)
    try #require(unsafe mkdtemp(&template) != nil)
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unsafe _ = rmdir(folder) }
    for count in [folder.utf8.count + 2, 106, 107, 108] {
      let path = folder + "/" + String(repeating: "p", count: count - folder.utf8.count - 1)
      // A path of 108 bytes cannot be created through the API, but another program can bind one.
      let address = SocketAddress.unix(
        count == 108 ? UnixPath(kind: .path, bytes: Array(path.utf8)) : try UnixPath(path: path))
      defer { unsafe _ = unlink(path) }
      #expect(try Self.bind(address) == address)
    }
  }

  @Test("a socket without a name has the unnamed address")
  func unnamed() throws {
    var pair: [CInt] = [0, 0]
    try #require(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
    defer { for descriptor in pair { close(descriptor) } }
    let (code, address) = unsafe SocketAddress.reading { pointer, length in
      unsafe getpeername(pair[0], pointer, &length)
    }
    #expect(code == 0)
    #expect(address == .unix(.unnamed))
    let bound = try Self.bind(.unix(.unnamed))
    #expect(bound?.path?.kind == .abstract, "binding to no name lets the kernel choose one")
  }

  @Test("every sockaddr length of every family is decoded or refused, and no byte beyond it is read")
  func hostileLengths() throws {
    for family in [AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, AF_NETLINK, 0xFFFF] {
      for filling in [UInt8(0), 0x41, 0xFF] {
        for count in 0...200 {
          // A buffer of exactly the stated length, so that a sanitizer detects a read beyond it.
          let bytes =
            (unsafe withUnsafeBytes(of: sa_family_t(family)) { unsafe Array($0) }
            + [UInt8](repeating: filling, count: 200)).prefix(count)
          let address = unsafe Array(bytes).withUnsafeBytes { unsafe SocketAddress(raw: $0) }
          let isExpected =
            switch family {
            case AF_INET: count >= 16
            case AF_INET6: count >= 28
            case AF_UNIX: (2...110).contains(count)
            default: false
            }
          #expect((address != nil) == isExpected, "family \(family), length \(count)")
          if case .unix(let path)? = address { #expect(path.bytes.count == max(0, count - (filling == 0 ? 3 : 2))) }
        }
      }
    }
    var storage = sockaddr_storage()
    storage.ss_family = sa_family_t(AF_INET)
    #expect(unsafe SocketAddress(storage: &storage, length: 128) == .any(port: 0))
    #expect(unsafe SocketAddress(storage: &storage, length: 129) == nil, "the kernel cut the address")
    #expect(unsafe SocketAddress(storage: &storage, length: .max) == nil)
    #expect(unsafe SocketAddress(storage: &storage, length: 0) == nil)
    let nothing = unsafe SocketAddress.reading { _, length in length = 0 }
    #expect(nothing.address == nil)
  }

  @Test("a path ends at its NUL, whatever bytes follow")
  func pathWithTail() {
    var storage = sockaddr_storage()
    storage.ss_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &storage) { unsafe $0[2...].copyBytes(from: Array("/a\0tail".utf8)) }
    #expect(unsafe SocketAddress(storage: &storage, length: 128)?.description == "/a")
    #expect(unsafe SocketAddress(storage: &storage, length: 9)?.description == "/a")
    #expect(unsafe SocketAddress(storage: &storage, length: 3)?.path?.bytes == [0x2F])
  }

  static let hasIPv6 = (try? bind(.loopback6(port: 0))) != nil

  /// Binds a raw socket to the address and returns the name that the kernel then reports.
  static func bind(_ address: SocketAddress) throws -> SocketAddress? {
    let descriptor = socket(address.family.rawValue, SocketKind.stream.rawValue, 0)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let bound = unsafe address.withSockaddr { pointer, length in unsafe Glibc.bind(descriptor, pointer, length) }
    try #require(bound == 0, "bind \(address)")
    let (code, name) = unsafe SocketAddress.reading { pointer, length in
      unsafe getsockname(descriptor, pointer, &length)
    }
    try #require(code == 0)
    return name
  }
}
