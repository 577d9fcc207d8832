internal import SystemPackage

extension NetworkInterface {
  /// All interfaces of this machine, in the kernel's order, also those that are switched off and those without an
  /// address.
  ///
  /// They are those of the network namespace of the calling thread. The corresponding C function is `getifaddrs`, and
  /// `socket.if_nameindex` in Python.
  /// - Throws: `.system(EMFILE)` and its like when no descriptor for the question can be allocated.
  public static var all: [NetworkInterface] {
    get throws(SocketError) {
      do throws(Errno) { return try Syscalls.interfaces() } catch {
        throw SocketError(.listInterfaces, .system(error))
      }
    }
  }

  /// Finds the interface with this name, such as `"eth0"`.
  ///
  /// - Throws: `.invalid` when there is none, with the names that there are; otherwise as ``all``.
  public static func named(_ name: String) throws(SocketError) -> NetworkInterface {
    let all = try all
    guard let found = all.first(where: { $0.name == name }) else {
      let names = all.map(\.name).joined(separator: ", ")
      throw SocketError(.listInterfaces, .invalid("no interface is called \(name); there are: \(names)"))
    }
    return found
  }
}
