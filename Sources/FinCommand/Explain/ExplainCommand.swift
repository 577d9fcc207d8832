import ArgumentParser
import FinDoctor
import FinTerminal

/// `fin explain`: shows the life of one socket, or what stands in the way of a bind.
struct ExplainCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Show the life of one socket with its times, or what stands in the way of a bind.")

  private static var kinds: String {
    let names = SocketExplanation.Event.Kind.allCases.map(\.rawValue)
    return Terminal.wrap(names.joined(separator: ", "), to: 46).joined(separator: "\n                     ")
  }

  @Argument(
    help: ArgumentHelp(
      "A process, a descriptor, one or two addresses, a path; or bind and an address.", valueName: "what"))
  var words: [String] = []

  @Flag(help: "bind: for a UDP socket.")
  var udp = false

  @Flag(name: .customLong("v6-only"), help: "bind: for a socket on :: that accepts no IPv4.")
  var only6 = false

  @Flag(name: .customLong("try"), help: "bind: also bind the port for a moment. Meanwhile another program cannot.")
  var tries = false

  @Flag(name: .customLong("no-try"), help: "bind: try nothing, not even the address without the port.")
  var noTry = false

  @Flag(help: "Read the socket's options through a copy of its descriptor.")
  var deep = false

  @OptionGroup var namespace: NamespaceOption

  @Option(help: ArgumentHelp("Show at most this many sockets.", valueName: "count"))
  var limit = 20

  @OptionGroup var source: SourceOption

  @OptionGroup var looking: CensusOptions

  @OptionGroup var output: OutputOptions

  private var text: ExplainText { ExplainText(terminal: output.terminal) }

  func validate() throws {
    guard limit > 0 else { throw ValidationError("--limit must be above 0.") }
    guard !source.isUsed || !deep && !tries else {
      throw ValidationError("--deep and --try need the running machine: --from and --at do not go with them.")
    }
    if case .bind = try ExplainSubject(words) {
      guard !tries || !noTry else { throw ValidationError("--try and --no-try exclude each other.") }
      return
    }
    guard !udp, !only6, !tries, !noTry else {
      throw ValidationError("--udp, --v6-only, --try and --no-try are for bind only.")
    }
  }

  func run() throws {
    let subject = try ExplainSubject(words)
    if case .bind(let address, let port) = subject {
      try explain(bind: address, port)
      return
    }
    let record = try source.read(looking.census)
    var (census, found) = try record.map { ($0.census, sockets(subject, in: $0.census)) } ?? look(for: subject)
    if found.isEmpty, record == nil {
      // Tables and descriptors are read one after the other. A second census finds a socket created in between.
      (census, found) = try look(for: subject)
    }
    let places = try namespace.places(in: census)
    try census.require(interfaces: subject.interfaceNames, in: places)
    if let places {
      found.removeAll { $0.namespace(in: census).map { !places.contains($0) } ?? false }
    }
    guard !found.isEmpty else { throw nothing(subject, census, record?.hidden ?? census.gaps.sentences) }
    var options = record?.options ?? Diagnosis.Options()
    if record == nil { Diagnosis.prepare(&census, &options) }
    // Findings use the wait states of the holders. If the sockets are few, all their holders are examined first.
    if found.count <= limit, record == nil {
      census.watch(Set(found.flatMap { census.holders[census.inode(of: $0)].map(\.pid) }))
    }
    let findings = Diagnosis.findings(in: census, options)
    let order = ExplainOrder(census, findings)
    let shown = order.worstFirst(found).prefix(limit)
    if record == nil { census.watch(Set(shown.flatMap { census.holders[census.inode(of: $0)].map(\.pid) })) }
    var hidden = record?.hidden ?? census.gaps.sentences
    let isOne = found.count == 1
    let lives = shown.map { socket in
      let readings =
        record?.details(of: socket) ?? SocketDetails.read(socket, in: census, readsOptions: deep && isOne)
      hidden += readings.hidden.filter { !hidden.contains($0) }
      return SocketExplanation(of: socket, in: census, readings, findings: findings)
    }
    if output.json {
      ExplainJSON.write(lives, matched: found.count, in: census, hidden: hidden)
      return
    }
    if isOne {
      Output.write(text.story(of: lives[0], in: census, matched: matched(subject, lives[0], census)))
    } else {
      Output.write(several(lives, found.count, subject, census))
    }
    for sentence in hidden { Output.complain(sentence) }
  }

  /// Returns a short text for each of several sockets, with the arguments that select it alone.
  private func several(_ lives: [SocketExplanation], _ count: Int, _ subject: ExplainSubject, _ census: Census)
    -> String
  {
    var lines: [String] = []
    var example: String?
    for life in lives {
      var (name, title, holder) = (life.title, String?.none, String?.none)
      let first = life.holders.first { holding in
        if case .process(let pid) = subject { holding.pid == pid } else { true }
      }
      if let first, let descriptor = first.descriptors.first {
        (name, title) = ("\(first.pid):\(descriptor.number)", life.title)
        if case .process = subject {} else { holder = first.program?.name }
      } else if case .inet(let place) = life.socket {
        let socket = census.sockets[place]
        name = socket.localAddress.with(port: socket.localPort)
        if socket.remotePort != 0 { name += "," + socket.remoteAddress.with(port: socket.remotePort) }
        switch census.keeper(of: socket.inode) {
        case .unseen: holder = "of user \(socket.user)"
        case let keeper?: holder = "held by \(census.words(keeper))"
        case nil: holder = life.state == "TIME-WAIT" ? nil : "no descriptor"
        }
      }
      if let matched = matched(subject, life, census) { holder = (holder.map { $0 + ", " } ?? "") + matched }
      example = example ?? name
      lines += text.short(life, name: name, title: title, holder: holder)
    }
    let rest =
      count > lives.count ? "the worst \(lives.count) of \(count) sockets (--limit shows more)" : "\(count) sockets"
    lines.append("")
    lines += Terminal.wrap("\(rest). Details of one: fin explain \(example ?? "PID:FD")", to: output.terminal.width)
    return lines.joined(separator: "\n") + "\n"
  }

  /// The end of the connection that matched the address.
  private func matched(_ subject: ExplainSubject, _ life: SocketExplanation, _ census: Census) -> String? {
    guard case .place(let place, nil) = subject, case .inet(let index) = life.socket else { return nil }
    let socket = census.sockets[index]
    guard socket.remotePort != 0 else { return nil }
    return socket.localPort == place.port
      ? socket.remotePort == place.port ? nil : "by its own port" : "by its peer's port"
  }

  private func look(for subject: ExplainSubject) throws -> (Census, [SocketReference]) {
    var options = looking.census
    options.secondLook = .milliseconds(100)
    options.interfaceNames = subject.interfaceNames
    let census = try Census.taking(options)
    if case .descriptor(let pid, let number) = subject {
      guard case .socket(let inode, _) = DescriptorTarget.read(pid, number) else { return (census, []) }
      return (census, census.references(toInode: inode))
    }
    return (census, sockets(subject, in: census))
  }

  /// The sockets of a census that the arguments name.
  private func sockets(_ subject: ExplainSubject, in census: Census) -> [SocketReference] {
    switch subject {
    case .process(let pid):
      var seen: Set<SocketReference> = []
      return census.references(heldBy: pid).map(\.socket).filter { seen.insert($0).inserted }
    case .descriptor(let pid, let number):
      return census.references(heldBy: pid).filter { $0.descriptor == number }.map(\.socket)
    case .place(let place, let other): return census.references(at: place, other)
    case .unixName(let name): return census.references(toName: visible(name))
    case .bind: return []
    }
  }

  /// Reports why nothing was found.
  private func nothing(_ subject: ExplainSubject, _ census: Census, _ hidden: [String]) -> ExitCode {
    for sentence in hidden { Output.complain(sentence) }
    if source.file != nil { return ExitStatus.unavailable.because("the file has no such socket") }
    if source.at != nil {
      return ExitStatus.unavailable.because(
        "no such socket was there then; who held a port when: fin record holders :PORT")
    }
    switch subject {
    case .process(let pid):
      guard let process = census.holders.process(pid) else {
        Output.complain("there is no process \(pid)")
        break
      }
      Output.complain(
        process.isReadable
          ? "process \(pid) has no TCP, UDP, MPTCP or Unix socket"
          : "no permission to read the descriptors of process \(pid): run as its user, or as root")
    case .descriptor(let pid, let number):
      switch DescriptorTarget.read(pid, number) {
      case .noProcess: Output.complain("there is no process \(pid)")
      case .closed: Output.complain("process \(pid) has no descriptor \(number)")
      case .hidden:
        Output.complain("no permission to read the descriptors of process \(pid): run as its user, or as root")
      case .other(let what): Output.complain("descriptor \(number) of process \(pid) is \(what), not a socket")
      case .socket(_, let name?) where !Self.protocols.contains(name):
        Output.complain("descriptor \(number) of process \(pid) is a \(name) socket, which fin cannot explain")
      case .socket: Output.complain("descriptor \(number) of process \(pid) is a socket that is in no readable table")
      }
    case .place: Output.complain("no socket has that address and port, and none is connected to it")
    case .unixName: Output.complain("no Unix socket has that name")
    case .bind: break
    }
    return ExitStatus.unavailable.exit
  }

  /// The protocols that fin explains, as the kernel names them.
  private static let protocols = [
    "TCP", "TCPv6", "UDP", "UDPv6", "MPTCP", "MPTCPv6", "UNIX", "UNIX-STREAM",
  ]
}

/// Explaining a bind.
extension ExplainCommand {
  private func explain(bind written: WrittenAddress, _ port: UInt16) throws {
    let subject = ExplainSubject.bind(written, port)
    let record = try source.read(looking.census)
    let census = try record?.census ?? look(for: subject).0
    let place = try namespace.places(in: census)?.min() ?? 0
    try census.require(interfaces: subject.interfaceNames, in: [place])
    let address = written.resolved(in: census.namespaces[place]) ?? written.address
    let request = BindRequest(
      address, port: port, transport: udp ? .udp : .tcp, isIPv6Only: only6, namespace: UInt16(place))
    let inWay = census.sockets.filter { request.meets($0) }
    let reuse = deep ? SocketOptions.reuse(of: inWay.prefix(64).map(\.inode).filter { $0 != 0 }, in: census) : [:]
    let outlook =
      record.map { BindForecast(of: request, in: census, recorded: $0.firstFreePort) }
      ?? BindForecast.trying(request, in: census, reuse: reuse, noTry ? .nothing : tries ? .port : .address)
    let status: ExitStatus =
      switch outlook.reusing {
      case .free: .success
      case .taken, .refused: .problem
      case .unsure: .grave
      }
    if output.json {
      ExplainJSON.write(outlook, status: status, in: census, hidden: record?.hidden ?? census.gaps.sentences)
    } else {
      Output.write(text.bind(outlook))
      for sentence in record?.hidden ?? census.gaps.sentences { Output.complain(sentence) }
    }
    if status != .success { throw status.exit }
  }
}

extension SocketReference {
  /// The namespace, as an index in the census; nil if it is unknown.
  fileprivate func namespace(in census: Census) -> Int? {
    switch self {
    case .inet(let place): Int(census.sockets[place].namespace)
    case .unix(let place): Int(census.unixSockets[place].namespace)
    case .detached: nil
    }
  }
}
