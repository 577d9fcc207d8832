import CPeers
import Glibc

/// Links, addresses and routes of a namespace, created through rtnetlink.
extension NetworkNamespace {
  public func linkUp(_ name: String) throws(RigError) { try setLink(name, isUp: true) }

  /// Takes a link down: it drops packets in both directions and loses its routes.
  public func linkDown(_ name: String) throws(RigError) { try setLink(name, isUp: false) }

  private func setLink(_ name: String, isUp: Bool) throws(RigError) {
    try change("set link \(name) \(isUp ? "up" : "down")", .newLink, creates: false) { request throws(RigError) in
      request.appendLink(index: try Self.index(of: name), flags: isUp ? 1 : 0, change: 1)  // IFF_UP
    }
    try awaitIPv6(name)
  }

  /// Adds an address, with the route to its network: `addAddress("10.8.0.1", prefix: 24, to: "tun0")`.
  ///
  /// An IPv6 address can be used at once: duplicate address detection is off (IFA_F_NODAD).
  public func addAddress(_ address: String, prefix: UInt8, to name: String) throws(RigError) {
    try change("add \(address)/\(prefix) to \(name)", .newAddress, creates: true) { request throws(RigError) in
      let bytes = try addressBytes(address)
      request.append(UInt8(bytes.count == 4 ? AF_INET : AF_INET6))
      request.append(prefix)
      request.append(UInt8(0x02))  // IFA_F_NODAD
      request.append(UInt8(0))
      request.append(try Self.index(of: name))
      request.attribute(2, bytes)  // IFA_LOCAL
      request.attribute(1, bytes)  // IFA_ADDRESS
    }
    try awaitIPv6(name)
  }

  /// Waits for the routes of the IPv6 addresses, which the kernel makes on a thread of its own after its answer.
  private func awaitIPv6(_ name: String) throws(RigError) {
    try run { () throws(RigError) in
      let socket = try OwnedDescriptor(
        Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0), from: "socket")
      let flags = unsafe peers_link_flags(socket.number, name)
      // IFF_UP and IFF_RUNNING: a link whose other side is not up gets no routes.
      let ready: CInt = 0x41
      guard flags > 0, flags & ready == ready, unsafe access("/proc/thread-self/net/if_inet6", R_OK) == 0 else {
        return
      }
      do {
        try eventually("routes of the IPv6 addresses of \(name)") {
          let routes = try Self.table("ipv6_route")
          return try Self.table("if_inet6").allSatisfy { address in
            // Address, index, prefix, scope, flags, link. 0x40 is IFA_F_TENTATIVE, which our own addresses never have.
            guard address.count == 6, address[5] == name, (UInt8(address[4], radix: 16) ?? 0) & 0x40 == 0 else {
              return true
            }
            // The route of the address itself has RTF_LOCAL, the highest bit; the route of its network has not.
            return routes.contains {
              $0.count == 10 && $0[0] == address[0] && (UInt32($0[8], radix: 16) ?? 0) >> 31 == 1
            }
          }
        }
      } catch {
        throw RigError("\(error)")
      }
    }
  }

  private static func table(_ name: String) throws(RigError) -> [[Substring]] {
    try readText("/proc/thread-self/net/\(name)").split(separator: "\n").map { $0.split(separator: " ") }
  }

  /// Adds a route: `addRoute(to: "10.9.0.0", prefix: 16, via: "10.8.0.2", link: "tun0")`.
  ///
  /// With `prefix` 0 it is the default route.
  public func addRoute(
    to network: String, prefix: UInt8, via gateway: String? = nil, link name: String
  ) throws(RigError) {
    try change("add a route to \(network)/\(prefix)", .newRoute, creates: true) { request throws(RigError) in
      let bytes = try addressBytes(network)
      request.append(UInt8(bytes.count == 4 ? AF_INET : AF_INET6))
      request.append(prefix)
      request.append(UInt16(0))
      request.append(UInt8(254))  // RT_TABLE_MAIN
      request.append(UInt8(4))  // RTPROT_STATIC
      request.append(UInt8(gateway == nil ? 253 : 0))  // RT_SCOPE_LINK or RT_SCOPE_UNIVERSE
      request.append(UInt8(1))  // RTN_UNICAST
      request.append(UInt32(0))
      if prefix > 0 { request.attribute(1, bytes) }  // RTA_DST
      if let gateway { request.attribute(5, try addressBytes(gateway)) }  // RTA_GATEWAY
      request.attribute(4, try Self.index(of: name))  // RTA_OIF
    }
  }

  /// Makes a pair of veth devices, one here and one in `other`; both are down and have no address.
  public func addVeth(_ name: String, to other: NetworkNamespace, as otherName: String) throws(RigError) {
    try change("make veth \(name) and \(otherName)", .newLink, creates: true) { request throws(RigError) in
      request.appendLink()
      request.attribute(3, name)  // IFLA_IFNAME
      request.nested(18) { info in  // IFLA_LINKINFO
        info.attribute(1, Array("veth".utf8))  // IFLA_INFO_KIND
        info.nested(2) { data in  // IFLA_INFO_DATA
          data.nested(1) { peer in  // VETH_INFO_PEER
            peer.appendLink()
            peer.attribute(3, otherName)
            peer.attribute(28, other.number)  // IFLA_NET_NS_FD
          }
        }
      }
    }
  }

  public func deleteLink(_ name: String) throws(RigError) {
    try change("delete link \(name)", .deleteLink, creates: false) { request throws(RigError) in
      request.appendLink(index: try Self.index(of: name))
    }
  }

  private func change(
    _ purpose: String, _ kind: RouteRequest.Kind, creates: Bool,
    _ fill: (inout RouteRequest) throws(RigError) -> Void
  ) throws(RigError) {
    try run { () throws(RigError) in
      var request = RouteRequest(kind, creates: creates)
      try fill(&request)
      try request.perform(purpose)
    }
  }

  /// The index of a link; call it on a thread inside the namespace.
  private static func index(of name: String) throws(RigError) -> UInt32 {
    let index = unsafe if_nametoindex(name)
    guard index != 0 else { throw .last("no link \(name)") }
    return index
  }
}

/// The four or sixteen bytes of a numeric address, in network order.
func addressBytes(_ address: String) throws(RigError) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 16)
  if unsafe inet_pton(AF_INET, address, &bytes) == 1 { return Array(bytes.prefix(4)) }
  if unsafe inet_pton(AF_INET6, address, &bytes) == 1 { return bytes }
  throw RigError("\(address) is not a numeric address")
}
