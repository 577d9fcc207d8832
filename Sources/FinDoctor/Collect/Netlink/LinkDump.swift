internal import CFin
internal import FinBase

/// The network interfaces for which the kernel itself has a UDP socket (`linux/if_link.h`).
enum LinkDump {
  /// A tunnel over UDP.
  struct Link: Hashable, Sendable {
    /// The name, escaped for printing.
    var name: String
    /// `vxlan` or `geneve`.
    var kind: String
    /// The port on which the kernel receives.
    var port: UInt16
  }

  /// Reads the interfaces of the namespace that the calling thread is in.
  static func ofThisThread() throws(KernelError) -> [Link] {
    var netlink = try NetlinkSocket(protocol: 0, answers: newLink)
    var links: [Link] = []
    _ = try netlink.dump({ request(sequence: $0) }) { bytes in
      guard bytes.byteCount >= fixedLength else { return false }
      if let link = link(bytes) { links.append(link) }
      return true
    }
    return links
  }

  /// The answer `RTM_NEWLINK` to the request `RTM_GETLINK`.
  static let newLink: UInt16 = 16
  /// The fixed part of both (`struct ifinfomsg`), before the attributes.
  static let fixedLength = 16

  private static func request(sequence: UInt32) -> [UInt8] {
    var bytes = NetlinkRequest(type: 18, flags: NetlinkMessage.request | NetlinkMessage.dump, sequence: sequence)
    for _ in 0..<fixedLength / 4 { bytes.append(number: UInt32(0)) }
    return bytes.finished()
  }

  /// Reads one answer; nil for an interface without a port.
  static func link(_ bytes: RawSpan) -> Link? {
    var name = "?"
    var kind = ""
    var data: Range<Int>?
    forEachAttribute(in: bytes, fixedLength..<bytes.byteCount) { type, value in
      if type == 3 { name = text(bytes, value) }
      guard type == 18 else { return }
      forEachAttribute(in: bytes, value) { type, value in
        if type == 1 { kind = text(bytes, value) }
        if type == 2 { data = value }
      }
    }
    // The attribute with the port, by the kind of the interface.
    guard let data, let wanted = ["vxlan": UInt16(15), "geneve": 5][kind] else { return nil }
    var port: UInt16?
    forEachAttribute(in: bytes, data) { type, value in
      if type == wanted { port = bytes.number(in: value).map { UInt16(bigEndian: $0) } }
    }
    return port.map { Link(name: name, kind: kind, port: $0) }
  }

  private static func forEachAttribute(
    in bytes: RawSpan, _ range: Range<Int>, _ body: (_ type: UInt16, _ value: Range<Int>) -> Void
  ) {
    var offset = range.lowerBound
    while offset < range.upperBound, let attribute = NetlinkAttribute(in: bytes, at: offset) {
      guard attribute.value.upperBound <= range.upperBound else { return }
      body(attribute.type, attribute.value)
      offset = attribute.next
    }
  }

  /// A name, without the zero that ends it.
  private static func text(_ bytes: RawSpan, _ range: Range<Int>) -> String {
    visible(range.map { bytes.number(at: $0, as: UInt8.self) }.prefix { $0 != 0 })
  }
}
