/// Whether a bind would succeed, what stands in its way, and until when.
///
/// ```swift
/// let request = BindRequest(NetworkAddress(127, 0, 0, 1), port: 8080)
/// let outlook = BindOutlook(of: request, in: try Census.take())
/// if outlook.reusing == .taken { print(outlook.obstacles.map(\.sentence)) }
/// ```
public struct BindOutlook: Sendable {
  /// How a bind would end.
  public enum Answer: Hashable, Sendable {
    /// Nothing stands in the way.
    case free
    /// It will be refused with `EADDRINUSE`.
    case taken
    /// It depends on an option of the socket in the way, which cannot be seen.
    case unsure
    /// It will be refused for another reason, by this name.
    case refused(String)
  }

  /// What somebody wants to bind.
  public var request: BindRequest
  /// What stands in the way, the worst first.
  public var obstacles: [Finding]
  /// How a bind without options would end.
  public var plain: Answer
  /// How a bind with `SO_REUSEADDR` would end, which is how nearly every server binds.
  public var reusing: Answer
  /// What was tried; nil when nothing was.
  public var trial: BindTrial?
  /// Why the port was not tried; nil when it was.
  public var whyUntried: String?
  /// What is worth to be known besides, one sentence each.
  public var notes: [String]

  /// Judges by a picture and, if something was tried, by what the kernel said to that.
  /// - Parameters:
  ///   - request: What somebody wants to bind.
  ///   - census: The picture to look in.
  ///   - trial: What was tried.
  ///   - reuse: Of sockets whose options were read, by inode: whether they have `SO_REUSEADDR`.
  ///   - firstFreePort: The lowest port that needs no right (`ip_unprivileged_port_start`).
  public init(
    of request: BindRequest, in census: Census, trial: BindTrial? = nil, reuse: [UInt32: Bool] = [:],
    firstFreePort: Int = 1024
  ) {
    self.request = request
    self.trial = trial
    obstacles = Diagnosis.bindBlocked(in: census, request)
    (plain, reusing) = (.free, .free)
    for index in census.sockets.indices where request.meets(census.sockets[index]) {
      plain = .taken
      if census.sockets[index].state == .listen || reuse[census.sockets[index].inode] == false {
        reusing = .taken
      } else if reusing == .free, reuse[census.sockets[index].inode] != true {
        reusing = .unsure
      }
    }
    notes = Self.notes(request, census, firstFreePort)
    take(trial)
  }

  /// What was tried outweighs what was judged: the kernel sees options that nobody else does.
  private mutating func take(_ trial: BindTrial?) {
    guard let trial else { return }
    if case .refused(let name) = trial.address {
      (plain, reusing) = (.refused(name), .refused(name))
      return
    }
    Self.settle(&plain, by: trial.plain)
    Self.settle(&reusing, by: trial.reusing)
    // Without an option in common there is nothing that the option could have helped with.
    if trial.reusing == .untried, case .refused = plain { reusing = plain }
  }

  private static func settle(_ answer: inout Answer, by tried: BindTrial.Answer) {
    switch tried {
    case .untried: break
    case .succeeded: answer = .free
    case .refused("EADDRINUSE"): answer = .taken
    case .refused(let name): answer = .refused(name)
    }
  }

  private static func notes(_ request: BindRequest, _ census: Census, _ firstFreePort: Int) -> [String] {
    var notes: [String] = []
    let port = request.port
    if port < firstFreePort {
      notes.append(
        "Port \(port) is below \(firstFreePort) (ip_unprivileged_port_start): only root may bind it, or who has "
          + "CAP_NET_BIND_SERVICE.")
    }
    let limits = census.namespaces[Int(request.namespace)].limits
    if limits.isEphemeral(port), let range = limits.ephemeralPorts {
      notes.append(
        "Port \(port) is one of those that connect chooses (\(range.lowerBound)-\(range.upperBound)): any connection may "
          + "take it before a listener does. ip_local_reserved_ports keeps it free.")
    }
    var named: Set<UInt16> = []
    for socket in census.sockets
    where socket.localPort == port && socket.transport == request.transport && socket.namespace != request.namespace
      && (socket.state == .listen || socket.transport == .udp) && named.insert(socket.namespace).inserted
    {
      let name = census.program(of: socket).map { "\($0.title) (pid \($0.pid))" } ?? "A program"
      let verb = socket.transport == .tcp ? "listens on" : "has"
      notes.append(
        "\(name) \(verb) port \(port) in another network namespace (\(census.namespace(of: socket).name)): that is in "
          + "nobody's way here.")
      if named.count == 4 { break }
    }
    return notes
  }
}

extension BindOutlook {
  /// Takes a picture, and tries what is harmless.
  ///
  /// It blocks: call it outside of tasks.
  /// - Parameters:
  ///   - request: What somebody wants to bind.
  ///   - census: The picture to look in.
  ///   - reuse: Of sockets whose options were read, by inode: whether they have `SO_REUSEADDR`.
  ///   - isTrying: Whether a bind may be tried at all.
  public static func trying(
    _ request: BindRequest, in census: Census, reuse: [UInt32: Bool] = [:], isTrying: Bool = true
  ) -> BindOutlook {
    let namespace = census.namespaces[Int(request.namespace)]
    let isHarmless = BindTrial.isHarmless(request, in: census)
    let trial = isTrying ? BindTrial.run(request, in: namespace, withPort: isHarmless) : nil
    let start = namespace.isOwn ? Files.number("/proc/sys/net/ipv4/ip_unprivileged_port_start") : nil
    var outlook = BindOutlook(of: request, in: census, trial: trial, reuse: reuse, firstFreePort: start ?? 1024)
    if !isTrying {
      outlook.whyUntried = "as asked"
    } else if trial == nil {
      outlook.whyUntried = "the namespace cannot be entered"
    } else if trial?.plain == .untried, outlook.plain == .taken, outlook.reusing == .taken {
      outlook.whyUntried = "it is certain without"
    } else if !isHarmless {
      outlook.whyUntried =
        request.transport == .udp
        ? "who binds last may get the datagrams of the one that is there"
        : "the port is in use and is one that connect chooses, and a bind could take it from connect"
    } else if case .refused = trial?.address {
      outlook.whyUntried = "the address is refused already"
    }
    return outlook
  }
}
