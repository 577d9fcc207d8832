import Glibc
import Peers
import SystemPackage

@testable import Fin

/// A verb of a stream socket that is neither connected nor listening.
enum SocketVerb {
  static func outcome(_ name: String, _ family: ProductFamily, isBound: Bool) throws -> String {
    let listener = try family.plainListener()
    let target = try Syscalls.localAddress(listener.descriptor)!
    let socket = try Socket(family.family)
    if isBound { try socket.bind(to: family.freshAddress) }
    do throws(SocketError) {
      switch name {
      case "listen":
        try socket.listen().close()
        return "works"
      case "connect":
        try socket.connect(to: target, within: .seconds(20)).abort()
        return "works"
      default:
        let word = try keeping(name, socket, family)
        socket.close()
        return word
      }
    } catch { return error.cause.word }
  }

  /// The verbs that leave the socket as it was.
  private static func keeping(
    _ name: String, _ socket: borrowing Socket, _ family: ProductFamily
  ) throws(SocketError) -> String {
    switch name {
    case "bind":
      do { try socket.bind(to: family.freshAddress) } catch { return error.cause.word }
    case "localAddress": return socket.localAddress == nil ? "nil" : "works"
    case "option": _ = try socket.option(.receiveBuffer)
    default: return "no such verb"
    }
    return "works"
  }
}

/// The answer of each `adopt` to each kind of descriptor.
enum AdoptVerb {
  static func outcome(_ who: String, _ what: String) throws -> String {
    let listener = try ProductFamily.tcp4.plainListener()
    let address = SocketAddress.loopback(port: listener.port)
    let number: CInt
    var client: PlainSocket?
    switch what {
    case "stream, fresh": number = try ProductFamily.tcp4.plain()
    case "stream, listening": number = try ProductFamily.tcp4.plainListener().detach()
    case "stream, connected":
      number = try ProductFamily.tcp4.plainConnection(to: address).detach()
      client = try listener.accept()
    case "MPTCP, listening": number = try ProductFamily.mptcp.plainListener().detach()
    case "UDP": number = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
    case "Unix datagram": number = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
    case "SEQPACKET, fresh": number = socket(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue), 0)
    case "SEQPACKET, listening":
      number = socket(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue), 0)
      try Syscalls.bind(number, ProductFamily.unix.freshAddress)
      try Syscalls.listen(number, 1)
    case "SEQPACKET, connected":
      let pair = try Syscalls.socketpair(CInt(SOCK_SEQPACKET.rawValue))
      number = pair.0
      client = PlainSocket(adopting: pair.1)
    case "raw": number = socket(AF_NETLINK, CInt(SOCK_RAW.rawValue), 0)
    default: number = open("/dev/null")
    }
    _ = client?.descriptor
    let descriptor = FileDescriptor(rawValue: number)
    do throws(SocketError) {
      switch who {
      case "Connection": try Connection.adopt(descriptor).abort()
      case "Listener": try Listener.adopt(descriptor).close()
      case "PacketConnection": try PacketConnection.adopt(descriptor).abort()
      case "PacketListener": try PacketListener.adopt(descriptor).close()
      default: try DatagramSocket.adopt(descriptor).close()
      }
    } catch {
      // The descriptor is untouched: the caller still has to close it.
      guard Glibc.close(number) == 0 else { return "closed" }
      return error.cause.word
    }
    return "works"
  }

  private static func open(_ path: String) -> CInt { unsafe Glibc.open(path, O_RDONLY) }
}
