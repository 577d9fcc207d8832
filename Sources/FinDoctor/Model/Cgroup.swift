/// A cgroup: the unit or container that a socket belongs to, even where its process may not be read or has ended.
package struct Cgroup: Hashable, Sendable {
  /// The path below the root of the cgroup v2 hierarchy: `/system.slice/nginx.service`. Escaped for printing.
  package var path: String
  /// The unit of the service manager, `nginx.service`, or the container's scope; nil outside of one.
  package var unit: String?
  /// The first twelve digits of the container's name, when the path holds one.
  package var container: String?

  /// Reads the unit and the container out of a path.
  package init(path bytes: some Collection<UInt8>) {
    path = visible(bytes)
    let parts = Array(bytes).split(separator: UInt8(ascii: "/"))
    unit = parts.last { $0.ends(in: ".service") || $0.ends(in: ".scope") }.map { visible($0) }
    container = parts.last { $0.digits(ofContainer: 64) != nil }?.digits(ofContainer: 64).map { visible($0.prefix(12)) }
  }
}

extension Census {
  /// The unit of a socket: that of the program that holds it, else that of the cgroup in which it was created.
  public func unit(of socket: InetSocket) -> String? {
    program(of: socket)?.unit ?? socket.cgroup.flatMap { cgroups[$0]?.unit }
  }

  /// The container of a socket: that of the program that holds it, else that of the cgroup in which it was created.
  public func container(of socket: InetSocket) -> String? {
    program(of: socket)?.container ?? socket.cgroup.flatMap { cgroups[$0]?.container }
  }
}

extension ArraySlice<UInt8> {
  fileprivate func ends(in text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }

  /// Finds a run of `count` hexadecimal digits, the form in which every container runtime names its containers.
  fileprivate func digits(ofContainer count: Int) -> ArraySlice<UInt8>? {
    var start = startIndex
    for index in indices {
      guard (48...57).contains(self[index]) || (97...102).contains(self[index]) else {
        start = index + 1
        continue
      }
      if index + 1 - start == count { return self[start...index] }
    }
    return nil
  }
}
