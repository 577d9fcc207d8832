import CPeers
import Glibc

/// Our end of a TUN device: what the kernel routes to it we read, what we write the kernel receives. IP packets, bare.
struct TunDevice: ~Copyable, Sendable {
  private let descriptor: OwnedDescriptor

  /// Makes the device in the namespace. It is down and has no address; it goes when this value goes.
  init(_ name: String, in namespace: NetworkNamespace) throws(RigError) {
    descriptor = try namespace.run { () throws(RigError) in
      let descriptor = try OwnedDescriptor(opening: "/dev/net/tun", O_RDWR | O_NONBLOCK)
      guard unsafe peers_attach_tun(descriptor.number, name) == 0 else { throw .last("make TUN device \(name)") }
      return descriptor
    }
  }

  var number: CInt { descriptor.number }

  /// A packet, or nil when none waits.
  func read() -> [UInt8]? {
    guard let packet = try? descriptor.read(upTo: 65536), !packet.isEmpty else { return nil }
    return packet
  }

  /// A packet that the device refuses, because its link is down, is a packet lost: as on a wire.
  func write(_ packet: [UInt8]) {
    try? descriptor.write(packet)
  }
}
