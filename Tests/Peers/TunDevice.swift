import CPeers
import Glibc

/// The user-space side of a TUN device: reads the IP packets that the kernel routes there, and writes IP packets that
/// the kernel receives, without a link header.
struct TunDevice: ~Copyable, Sendable {
  private let descriptor: OwnedDescriptor

  /// Makes the device in the namespace. It is down, has no address, and is removed with this value.
  init(_ name: String, in namespace: NetworkNamespace) throws(RigError) {
    descriptor = try namespace.run { () throws(RigError) in
      let descriptor = try OwnedDescriptor(opening: "/dev/net/tun", O_RDWR | O_NONBLOCK)
      guard unsafe peers_attach_tun(descriptor.number, name) == 0 else { throw .last("make TUN device \(name)") }
      return descriptor
    }
  }

  var number: CInt { descriptor.number }

  /// The next packet, or nil if there is none now.
  func read() -> [UInt8]? {
    guard let packet = try? descriptor.read(upTo: 65536), !packet.isEmpty else { return nil }
    return packet
  }

  /// Writes a packet. If the link is down the device refuses it and the packet is lost, as on a wire.
  func write(_ packet: [UInt8]) {
    try? descriptor.write(packet)
  }
}
