import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("The forecast of a bind agrees with the kernel", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct BindScenes {
  private static let loopback = NetworkAddress(127, 0, 0, 1)

  private static func address(_ text: String) throws -> NetworkAddress {
    switch text {
    case "127.0.0.1": return loopback
    case "0.0.0.0": return NetworkAddress(0, 0, 0, 0)
    case "192.0.2.7": return NetworkAddress(192, 0, 2, 7)
    case "::": return NetworkAddress(AddressBits(), isIPv6: true)
    case "::1": return NetworkAddress(AddressBits(low: 1), isIPv6: true)
    case "::ffff:127.0.0.1": return NetworkAddress(AddressBits(low: 0xffff_7f00_0001), isIPv6: true)
    default: throw RigError("the scene asks about \(text)")
    }
  }

  private static func request(_ scene: Scene, _ situation: String) throws -> BindRequest {
    BindRequest(
      try address(scene.words[0]), port: UInt16(try scene.number(1)),
      transport: situation.hasPrefix("udp") ? .udp : .tcp, isIPv6Only: situation == "asked-only6")
  }

  /// Whether a forecast is compatible with the kernel's answer: a certain one must equal it.
  private static func agrees(_ answer: BindForecast.Answer, _ kernel: String) -> Bool {
    switch answer {
    case .free: kernel == "OK"
    case .taken: kernel == "EADDRINUSE"
    case .unsure: kernel == "OK" || kernel == "EADDRINUSE"
    case .refused(let name): kernel == name
    }
  }

  @Test(
    "from the census alone, from socket options, and from a trial: a forecast never contradicts the kernel",
    arguments: [
      "free", "listens", "listens-reuse", "listens-share", "listens-everywhere", "listens-elsewhere",
      "asked-everywhere", "listens-dual", "listens-only6", "asked-dual", "asked-only6", "dual-against-one6", "mapped",
      "six-against-four", "bound", "bound-reuse", "rests", "rests-reuse", "half", "half-reuse", "connected",
      "connected-reuse", "client", "dead", "inherited", "udp-bound", "udp-reuse", "udp-share", "udp-elsewhere",
      "udp-tcp",
    ])
  func situations(situation: String) throws {
    try Scene.with("binds", situation) { scene in
      let request = try Self.request(scene, situation)
      let (plain, reusing) = (scene.words[2], scene.words[3])
      let census = try scene.census()
      let judged = BindForecast(of: request, in: census)
      #expect(
        Self.agrees(judged.plain, plain) && Self.agrees(judged.reusing, reusing), "judged \(judged), \(scene.words)")
      // Without SO_REUSEADDR the forecast is never uncertain.
      #expect(judged.plain != .unsure)
      #expect(judged.obstacles.isEmpty == (judged.plain == .free))
      #expect(judged.obstacles.contains { $0.severity == .critical } == (judged.reusing == .taken))

      let inodes = census.sockets.filter { request.meets($0) && $0.inode != 0 }.map(\.inode)
      let reuse = SocketOptions.reuse(of: inodes, in: census)
      #expect(reuse.count == inodes.count)
      let asked = BindForecast(of: request, in: census, reuse: reuse)
      #expect(Self.agrees(asked.plain, plain) && Self.agrees(asked.reusing, reusing), "asked \(asked), \(scene.words)")
      if !situation.hasPrefix("rests"), !situation.hasPrefix("half") { #expect(asked.reusing != .unsure) }

      let tried = scene.network.run { BindForecast.trying(request, in: census, .port) }
      #expect(Self.agrees(tried.plain, plain) && Self.agrees(tried.reusing, reusing), "tried \(tried), \(scene.words)")
      #expect(tried.trial?.address == .succeeded)
      if plain == "OK", situation != "listens-elsewhere", situation != "udp-elsewhere" {
        // A bind is tried only if no socket has the port.
        let isPortUsed = census.sockets.contains { $0.localPort == request.port && $0.transport == request.transport }
        #expect((tried.trial?.plain == .succeeded) == !isPortUsed)
      }
    }
  }

  @Test(
    "outside the ephemeral range a bind is tried despite existing connections, and the forecast is certain")
  func tried() throws {
    for (situation, reusing) in [("rests", "EADDRINUSE"), ("rests-reuse", "OK"), ("connected-reuse", "OK")] {
      let network = try NetworkNamespace()
      try Scene.with("binds", situation, in: network) { scene in
        // Moves the ephemeral range away from the scene's port.
        let port = try scene.number(1)
        try network.setSysctl("net/ipv4/ip_local_port_range", port < 40000 ? "50000 50099" : "20000 20099")
        let (request, census) = (try Self.request(scene, situation), try scene.census())
        let outlook = network.run { BindForecast.trying(request, in: census, .port) }
        #expect(outlook.whyUntried == nil && outlook.plain == .taken)
        #expect(outlook.reusing == (reusing == "OK" ? .free : .taken) && scene.words[3] == reusing)
      }
    }
  }

  @Test("the obstacle is named: an inherited listener, the holder of a dead connection, a client's ephemeral port")
  func owners() throws {
    try Scene.with("binds", "inherited") { scene in
      let outlook = BindForecast(of: try Self.request(scene, "inherited"), in: try scene.census())
      let who = try #require(outlook.obstacles.first?.who)
      #expect(who.pid != nil && who.pid != scene.pid && outlook.obstacles[0].sentence.contains("listens there"))
    }
    try Scene.with("binds", "dead") { scene in
      let outlook = BindForecast(of: try Self.request(scene, "dead"), in: try scene.census())
      #expect(outlook.obstacles.first?.who?.pid == scene.pid)
      #expect(outlook.obstacles.first?.sentence.contains("neither listens there nor is connected") == true)
    }
    try Scene.with("binds", "client") { scene in
      let outlook = BindForecast(of: try Self.request(scene, "client"), in: try scene.census())
      #expect(outlook.obstacles.first?.sentence.contains("has 1 connection on") == true)
      #expect(outlook.notes.contains { $0.contains("in the range from which connect chooses") })
    }
  }

  @Test("a port in TIME-WAIT is predicted to be free when the kernel's timer expires")
  func untilWhen() throws {
    try Scene.with("binds", "rests") { scene in
      let census = try scene.census()
      let outlook = BindForecast(of: try Self.request(scene, "rests"), in: census)
      let resting = try #require(census.sockets.first { $0.state == .timeWait })
      let left = AgeBounds(atLeast: UInt64(resting.expires), atMost: UInt64(resting.expires))
      #expect(outlook.obstacles.map(\.sentence).contains { $0.hasSuffix("is in TIME-WAIT: free in \(left).") })
    }
  }

  @Test("an address that the machine does not have is refused, unless ip_nonlocal_bind allows it")
  func foreign() throws {
    let network = try NetworkNamespace()
    try Scene.with("binds", "not-local", in: network) { scene in
      let request = try Self.request(scene, "not-local")
      #expect(scene.words[2] == "EADDRNOTAVAIL")
      let census = try scene.census()
      let refused = network.run { BindForecast.trying(request, in: census, .port) }
      #expect(refused.plain == .refused("EADDRNOTAVAIL") && refused.reusing == .refused("EADDRNOTAVAIL"))
      try network.setSysctl("net/ipv4/ip_nonlocal_bind", "1")
      let allowed = network.run { BindForecast.trying(request, in: census, .port) }
      #expect(allowed.plain == .free && allowed.reusing == .free)
    }
  }

  @Test("a privileged port is explained by the namespace's own limit")
  func privileged() throws {
    let network = try NetworkNamespace()
    try Scene.with("binds", "privileged", in: network) { scene in
      #expect(scene.words[2] == "EACCES" && scene.words[3] == "EACCES")
      let request = try Self.request(scene, "privileged")
      let census = try scene.census()
      let outlook = network.run { BindForecast.trying(request, in: census, .port) }
      #expect(outlook.notes.contains { $0.hasPrefix("Port 81 is below 1024") })
      try network.setSysctl("net/ipv4/ip_unprivileged_port_start", "80")
      let after = network.run { BindForecast.trying(request, in: census, .port) }
      #expect(!after.notes.contains { $0.hasPrefix("Port 81 is below") })
    }
  }

  @Test("a listener in another network namespace does not block a bind but is mentioned; inside its own it blocks")
  func elsewhere() throws {
    try Scene.with("binds", "listens") { scene in
      let own = try NetworkNamespace()
      let census = try own.run { try Census.take() }
      let there = try #require(census.sockets.first { $0.state == .listen && census.program(of: $0)?.pid == scene.pid })
      #expect(there.namespace != 0)
      let here = BindRequest(Self.loopback, port: there.localPort)
      let outlook = own.run { BindForecast.trying(here, in: census, .port) }
      #expect(outlook.plain == .free && outlook.trial?.plain == .succeeded && outlook.obstacles.isEmpty)
      #expect(
        outlook.notes.contains { $0.contains("(pid \(scene.pid)) listens on port \(there.localPort) in another") })
      let request = BindRequest(Self.loopback, port: there.localPort, namespace: there.namespace)
      let foreign = own.run { BindForecast.trying(request, in: census, .port) }
      #expect(foreign.plain == .taken && foreign.reusing == .taken && foreign.trial?.address == .succeeded)
    }
  }
}
