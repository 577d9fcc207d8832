/// Predicts whether a bind would succeed, and names the obstacles and how long they last.
///
/// ```swift
/// let request = BindRequest(NetworkAddress(127, 0, 0, 1), port: 8080)
/// let outlook = BindOutlook(of: request, in: try Census.take())
/// if outlook.reusing == .taken { print(outlook.obstacles.map(\.sentence)) }
/// ```
package struct BindForecast: Sendable {
  /// The predicted result of a bind.
  package enum Answer: Hashable, Sendable {
    /// No obstacle: the bind will succeed.
    case free
    /// The bind will be refused with `EADDRINUSE`.
    case taken
    /// The result depends on an option of the conflicting socket, which cannot be seen.
    case unsure
    /// The bind will be refused with another error, of this name.
    case refused(String)
  }

  /// The bind that is judged.
  package var request: BindRequest
  /// The obstacles, the worst first.
  package var obstacles: [Finding]
  /// The result of a bind without options.
  package var plain: Answer
  /// The result of a bind with `SO_REUSEADDR`, which nearly every server sets.
  package var reusing: Answer
  /// The result of a trial bind; nil without one.
  package var trial: BindProbe?
  /// The reason why the port was not tried; nil when it was.
  package var whyUntried: String?
  /// Further remarks, one sentence each.
  package var notes: [String]

  /// Judges a bind by a census and, if there was a trial, by the kernel's answer to that.
  /// - Parameters:
  ///   - request: The bind to judge.
  ///   - census: The census to look in.
  ///   - trial: The result of a trial bind.
  ///   - reuse: Whether a socket has `SO_REUSEADDR`, by inode, for the sockets whose options were read.
  ///   - firstFreePort: The lowest port that needs no privilege (`ip_unprivileged_port_start`).
  package init(
    of request: BindRequest, in census: Census, trial: BindProbe? = nil, reuse: [UInt32: Bool] = [:],
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

  /// The trial outweighs the census, because the kernel sees options of other sockets that no program can.
  private mutating func take(_ trial: BindProbe?) {
    guard let trial else { return }
    if case .refused(let name) = trial.address {
      (plain, reusing) = (.refused(name), .refused(name))
      return
    }
    Self.settle(&plain, by: trial.plain)
    Self.settle(&reusing, by: trial.reusing)
    // A UDP trial leaves out the option. An error other than EADDRINUSE, such as EACCES, does not depend on it.
    if trial.reusing == .untried, case .refused = plain { reusing = plain }
  }

  private static func settle(_ answer: inout Answer, by tried: BindProbe.Answer) {
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
        "Port \(port) is below \(firstFreePort) (ip_unprivileged_port_start): only root may bind it, or a "
          + "program with CAP_NET_BIND_SERVICE.")
    }
    let limits = census.namespaces[Int(request.namespace)].limits
    if limits.isEphemeral(port), let range = limits.ephemeralPorts {
      notes.append(
        "Port \(port) is in the range from which connect chooses (\(range.lowerBound)-\(range.upperBound)): any "
          + "connection may take it before a listener does. An entry in ip_local_reserved_ports keeps it free.")
    }
    var named: Set<UInt16> = []
    for socket in census.sockets
    where socket.localPort == port && socket.transport == request.transport && socket.namespace != request.namespace
      && (socket.state == .listen || socket.transport == .udp) && named.insert(socket.namespace).inserted
    {
      let name =
        census.program(of: socket).map { "\($0.title) (pid \($0.pid))" }
        ?? (census.keeper(of: socket.inode)?.isKernel == true ? "The kernel" : "A program")
      let verb = socket.transport == .tcp ? "listens on" : "has"
      notes.append(
        "\(name) \(verb) port \(port) in another network namespace "
          + "(\(census.namespace(of: socket).name)): that does not affect a bind here.")
      if named.count == 4 { break }
    }
    return notes
  }
}

extension BindForecast {
  /// The part of a bind that is tried on a socket of our own.
  package enum Trial: Hashable, Sendable {
    case nothing
    /// The address without a port, which takes nothing away from another program.
    case address
    /// The port too, where that is harmless: for that moment, a bind of another program to it fails.
    case port
  }

  /// Judges a bind on a machine that is not this one, by its census alone.
  /// - Parameter firstFreePort: The lowest port that needs no privilege there.
  package init(of request: BindRequest, in census: Census, recorded firstFreePort: Int) {
    self.init(of: request, in: census, firstFreePort: firstFreePort)
    whyUntried = "the census is from a file"
  }

  /// Judges a bind, and tries a part of it.
  ///
  /// Blocks: call it outside of tasks.
  /// - Parameters:
  ///   - request: The bind to judge.
  ///   - census: The census to look in.
  ///   - reuse: Whether a socket has `SO_REUSEADDR`, by inode, for the sockets whose options were read.
  ///   - trial: The part to try.
  package static func trying(
    _ request: BindRequest, in census: Census, reuse: [UInt32: Bool] = [:], _ trial: Trial = .address
  ) -> BindForecast {
    let namespace = census.namespaces[Int(request.namespace)]
    let isHarmless = BindProbe.isHarmless(request, in: census)
    let probe =
      trial == .nothing ? nil : BindProbe.run(request, in: namespace, withPort: trial == .port && isHarmless)
    let start = namespace.isOwn ? Files.number("/proc/sys/net/ipv4/ip_unprivileged_port_start") : nil
    var outlook = BindForecast(of: request, in: census, trial: probe, reuse: reuse, firstFreePort: start ?? 1024)
    if let start, Int(request.port) < start, probe?.plain ?? .untried == .untried, !ThisProcess.mayBindAnyPort {
      // The kernel compares the port first.
      if probe?.address ?? .succeeded == .succeeded {
        (outlook.plain, outlook.reusing) = (.refused("EACCES"), .refused("EACCES"))
      }
    }
    if trial == .nothing {
      outlook.whyUntried = "switched off by the caller"
    } else if probe == nil {
      outlook.whyUntried = "the namespace cannot be entered"
    } else if probe?.plain == .untried, outlook.plain == .taken, outlook.reusing == .taken {
      outlook.whyUntried = "not needed: the answer is already certain"
    } else if case .refused = probe?.address {
      outlook.whyUntried = "the kernel already refused the address alone"
    } else if trial == .address {
      outlook.whyUntried = "for that moment, a bind of another program to it would fail (--try tries it all the same)"
    } else if !isHarmless {
      outlook.whyUntried =
        request.transport == .udp
        ? "a second socket could take datagrams from the current one"
        : "the port is in use and in the range of connect, so a bind could take it from connect"
    }
    return outlook
  }
}
