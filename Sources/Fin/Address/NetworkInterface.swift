internal import Glibc

/// A network interface of this machine, such as `eth0` or the loopback, as it was when it was listed.
///
/// `NetworkInterface.all` lists them. The list, the names and the indexes are those of the network namespace of the
/// calling thread. An interface that has gone since keeps its value here; a call that uses it then fails with
/// `ENODEV`.
public struct NetworkInterface: Hashable, Sendable, CustomStringConvertible {
  /// An address of an interface, and the length of its network's prefix in bits.
  public struct Address: Hashable, Sendable, CustomStringConvertible {
    /// The address, a link-local one with its scope.
    public let ip: IPAddress
    /// The number of bits of the address that are its network's: 24 for a netmask of 255.255.255.0.
    public let prefixLength: Int

    /// The text as `ip address` shows it: `10.0.0.7/24`.
    public var description: String { "\(ip)/\(prefixLength)" }
  }

  /// The name, such as `eth0`.
  public let name: String
  /// The number by which the kernel knows it; it is never 0.
  public let index: UInt32
  /// The addresses in the kernel's order, IPv4 before IPv6; there may be none.
  public internal(set) var addresses: [Address] = []
  /// The address of the link layer, for Ethernet 6 bytes; empty when there is none, as in a tunnel.
  public internal(set) var hardwareAddress: [UInt8] = []
  /// The flags, `IFF_…` of netdevice(7).
  let flags: UInt32

  /// Whether it was switched on (`IFF_UP`).
  public var isUp: Bool { flags & UInt32(IFF_UP) != 0 }
  /// Whether it was switched on and its link worked (`IFF_RUNNING`).
  public var isRunning: Bool { flags & UInt32(IFF_RUNNING) != 0 }
  /// Whether it is the loopback (`IFF_LOOPBACK`).
  public var isLoopback: Bool { flags & UInt32(IFF_LOOPBACK) != 0 }
  /// Whether it carries multicast (`IFF_MULTICAST`). The loopback delivers multicast although Linux does not set this.
  public var isMulticast: Bool { flags & UInt32(IFF_MULTICAST) != 0 }
  /// Whether it leads to one other host only (`IFF_POINTOPOINT`).
  public var isPointToPoint: Bool { flags & UInt32(IFF_POINTOPOINT) != 0 }

  /// The text as in `eth0 (2): 10.0.0.7/24, fe80::1%eth0/64`.
  public var description: String {
    "\(name) (\(index))\(addresses.isEmpty ? "" : ": ")\(addresses.map { "\($0)" }.joined(separator: ", "))"
      + (isUp ? "" : ", down")
  }
}

extension NetworkInterface {
  /// Returns the interfaces of a list that `getifaddrs(3)` made, in its order.
  ///
  /// The list has an entry for each link, which comes first, and one for each address. An IPv4 address may have a label
  /// such as `eth0:1` in place of the interface's name.
  static func interfaces(in list: UnsafePointer<ifaddrs>?) -> [NetworkInterface] {
    var found: [NetworkInterface] = []
    var next = unsafe list
    while let entry = unsafe next?.pointee {
      unsafe next = UnsafePointer(entry.ifa_next)
      let label = unsafe String(cString: entry.ifa_name)
      let name = String(label.prefix { $0 != ":" })
      guard let address = unsafe entry.ifa_addr else { continue }
      var position = found.firstIndex { $0.name == name }
      if position == nil {
        let index = unsafe Link(address)?.index ?? if_nametoindex(name)
        // It has gone while the list was made.
        guard index != 0 else { continue }
        found.append(NetworkInterface(name: name, index: index, flags: unsafe UInt32(entry.ifa_flags)))
        position = found.count - 1
      }
      guard let position else { continue }
      if let link = unsafe Link(address) {
        found[position].hardwareAddress = link.bytes
      } else if let ip = unsafe SocketAddress(family: address)?.ip {
        let mask = unsafe entry.ifa_netmask.flatMap { unsafe SocketAddress(family: $0)?.ip }
        found[position].addresses.append(Address(ip: ip, prefixLength: mask?.oneBits ?? 0))
      }
    }
    return found
  }

  /// The contents of a `struct sockaddr_ll` (packet(7)).
  private struct Link {
    let index: UInt32
    /// The link-layer address; empty when all its bytes are zero, as that of the loopback.
    let bytes: [UInt8]

    init?(_ address: UnsafePointer<sockaddr>) {
      guard unsafe address.pointee.sa_family == sa_family_t(AF_PACKET) else { return nil }
      // The family, the protocol, the index, two types and the length; then the address.
      let raw = unsafe UnsafeRawPointer(address)
      index = unsafe raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      let count = min(8, Int(unsafe raw.load(fromByteOffset: 11, as: UInt8.self)))
      let bytes = unsafe Array(UnsafeRawBufferPointer(start: raw + 12, count: count))
      self.bytes = bytes.allSatisfy { $0 == 0 } ? [] : bytes
    }
  }
}

extension SocketAddress {
  /// Reads an IP address whose length follows from its family. It is `nil` for every other family.
  fileprivate init?(family address: UnsafePointer<sockaddr>) {
    switch CInt(unsafe address.pointee.sa_family) {
    case AF_INET: unsafe self.init(address, length: socklen_t(MemoryLayout<sockaddr_in>.size))
    case AF_INET6: unsafe self.init(address, length: socklen_t(MemoryLayout<sockaddr_in6>.size))
    default: return nil
    }
  }
}

extension IPAddress {
  /// The number of bits that are set: the prefix length of a netmask.
  fileprivate var oneBits: Int {
    switch self {
    case .v4(let address): address.rawValue.nonzeroBitCount
    case .v6(let address): address.high.nonzeroBitCount + address.low.nonzeroBitCount
    }
  }
}
