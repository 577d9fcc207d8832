import Fin
import Peers
import TestTraits
import Testing

@Suite(
  "The name of an interface means that of each network namespace, in every command that takes an address",
  .enabled(if: Privileges.canUseVeth, "needs the right to make network namespaces with veth devices: run as root"),
  .enabled(if: Privileges.hasIPv6, "needs IPv6"), .onThreads, .timeLimit(.minutes(30)))
struct ZoneTests {
  /// A link between two namespaces whose ends have one name and two indices, and a connection over it. The namespace of
  /// the tests has no interface of that name.
  private struct Link {
    static let name = "finzone"

    let near: NetworkNamespace
    let far: NetworkNamespace
    /// The addresses of the two ends, which no other test has: `fin` looks at all namespaces of the machine.
    let server: String
    let client: String
    let place: String
    let port: UInt16

    /// Runs `body` while the connection stands.
    static func stand(_ body: (Link) throws -> Void) throws {
      let (near, far) = (try NetworkNamespace(), try NetworkNamespace())
      // The far end gets a higher index than the near one.
      for number in 0..<3 { try far.addVeth("before\(number)", to: far, as: "after\(number)") }
      try near.addVeth(name, to: far, as: name)
      let unique = (0..<2).map { _ in String(UInt16.random(in: 1...0xffff), radix: 16) }.joined(separator: ":")
      let (own, other) = ("fe80::\(unique):aa", "fe80::\(unique):ab")
      try near.addAddress(own, prefix: 64, to: name)
      try far.addAddress(other, prefix: 64, to: name)
      for namespace in [near, far] { try namespace.linkUp(name) }
      for namespace in [near, far] { try namespace.linkUp(name) }
      // Fin looks the name up in the namespace of the calling thread.
      let listener = try near.run { try Listener.bind("[\(own)%\(name)]:0") }
      let port = listener.localAddress.port ?? 0
      let client = try far.run { try Connection.connect(to: "[\(own)%\(name)]:\(port)") }
      let server = try listener.accept()
      let place = "[\(own)%\(name)]:\(port)"
      try body(Link(near: near, far: far, server: own, client: other, place: place, port: port))
      client.close(.abort)
      server.close(.abort)
      listener.close()
    }

    /// The inode of a namespace, which names it on the command line.
    func inode(of namespace: NetworkNamespace) throws -> String {
      try namespace.run { try Scene.output(of: "/bin/readlink", "/proc/self/ns/net").filter(\.isNumber) }
    }
  }

  /// Runs `fin` in the namespace of the tests.
  private func fin(_ arguments: String...) throws -> (output: String, status: CInt?) {
    try withChild(Fin.path, arguments) { child in
      child.closeInput()
      let output = try child.readToEnd(within: .seconds(120))
      if case .exited(let status) = try child.wait() { return (output, status) }
      return (output, nil)
    }
  }

  @Test("list and listeners show the sockets on that interface, in any namespace, and no others")
  func lists() throws {
    try Link.stand { link in
      let all = try fin("list", "--wide", "--address", "\(link.server)%\(Link.name)")
      #expect(all.status == 0 && all.output.contains(":\(link.port)"), "\(all)")
      // The client, the accepted connection and the listener; each end by the index of its own namespace.
      #expect(all.output.ranges(of: "[\(link.server)%").count == 3, "\(all.output)")
      let other = try fin("list", "--address", "\(link.server)%lo", "--no-header")
      #expect(other.status == 0 && other.output.isEmpty, "\(other)")
      let listeners = try fin("listeners", "--address", "\(link.server)%\(Link.name)")
      #expect(listeners.status == 0 && listeners.output.contains(":\(link.port)"), "\(listeners)")
    }
  }

  @Test("explain shows the sockets at that end, and ports the route to it")
  func views() throws {
    try Link.stand { link in
      let all = try fin("explain", link.place)
      #expect(all.status == 0 && all.output.contains("3 sockets"), "\(all)")
      #expect(try fin("explain", "[\(link.server)%lo]:\(link.port)").status == 69)
      let ports = try fin("ports", "--address", "\(link.server)%\(Link.name)", "--json")
      #expect(ports.status == 0 && ports.output.contains(link.server), "\(ports)")
      let others = try fin("ports", "--address", "\(link.server)%lo", "--json")
      #expect(others.status == 0 && !others.output.contains(link.server), "\(others)")
    }
  }

  @Test("kill names the connection at that end")
  func kill() throws {
    try Link.stand { link in
      let near = try link.inode(of: link.near)
      let named = try fin("kill", link.place, "--dry-run", "--namespace", near)
      #expect(named.status == 0 && named.output.contains(":\(link.port)"), "\(named)")
      #expect(try fin("kill", "[\(link.server)%lo]:\(link.port)", "--dry-run", "--namespace", near).status == 69)
      let client = "[\(link.client)%\(Link.name)]"
      let clients = try fin(
        "list", "--address", "\(link.client)%\(Link.name)", "--no-header", "--wide", "--fields", "local")
      let row = try #require(clients.output.split(separator: "\n").first { $0.contains(link.client) })
      let port = try #require(row.split(separator: ":").last)
      let far = try link.inode(of: link.far)
      let both = try fin("kill", "\(client):\(port.filter(\.isNumber)),\(link.place)", "--dry-run", "--namespace", far)
      #expect(both.status == 0, "\(both)")
    }
  }

  @Test("bind is judged in the namespace that is meant: there the name has an index, and elsewhere it is an error")
  func bind() throws {
    try Link.stand { link in
      let near = try link.inode(of: link.near)
      let taken = try fin("explain", "bind", link.place, "--namespace", near)
      #expect(taken.status == 1 && taken.output.contains("is taken"), "\(taken)")
      #expect(try fin("explain", "bind", link.place).status == 64)
      #expect(try fin("list", "--address", "\(link.server)%\(Link.name)", "--namespace", "own").status == 64)
      #expect(try fin("explain", link.place, "--namespace", near).status == 0)
      // The address of the near end is not one of the far end's.
      let far = try fin("explain", "bind", link.place, "--namespace", try link.inode(of: link.far))
      #expect(far.status != 0 && far.status != 64 && !far.output.contains("is taken by"), "\(far)")
    }
  }
}
