internal import Glibc
internal import SystemPackage

/// The descriptors that a service manager passed to this process, with their names: sd_listen_fds(3).
struct InheritedDescriptors {
  let all: [(number: CInt, name: String)]

  /// The first descriptor that is passed: `SD_LISTEN_FDS_START`.
  static let first: CInt = 3
  /// The name that systemd gives to a descriptor without one.
  static let unnamed = "unknown"

  /// Reads the three variables.
  ///
  /// - Returns: `nil` when they are missing, or meant for another process.
  init?(
    pid: String?, count: String?, names: String?, process: Int32
  ) throws(SocketError) {
    guard let pid, let count else { return nil }
    guard let wanted = Int32(pid), wanted > 0 else {
      throw SocketError(.adopt, .invalid("LISTEN_PID is \"\(pid)\", and not a process ID"))
    }
    if wanted != process { return nil }
    guard let number = CInt(count), number >= 0, number <= CInt.max - InheritedDescriptors.first else {
      throw SocketError(.adopt, .invalid("LISTEN_FDS is \"\(count)\", and not a number of descriptors"))
    }
    let given = names.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) } ?? []
    guard given.count <= max(1, Int(number)) else {
      throw SocketError(.adopt, .invalid("LISTEN_FDNAMES has \(given.count) names for \(number) descriptors"))
    }
    all = (0..<number).map { index in
      let name = Int(index) < given.count ? given[Int(index)] : ""
      return (InheritedDescriptors.first + index, name.isEmpty ? InheritedDescriptors.unnamed : name)
    }
  }

  /// The descriptors that this process's environment names.
  static func current() throws(SocketError) -> InheritedDescriptors? {
    try InheritedDescriptors(
      pid: Environment.value("LISTEN_PID"), count: Environment.value("LISTEN_FDS"),
      names: Environment.value("LISTEN_FDNAMES"), process: getpid())
  }
}

/// The environment variables of this process.
enum Environment {
  static func value(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }

  static func unset(_ names: String...) { for name in names { unsafe _ = unsetenv(name) } }
}

extension Listener {
  /// Takes over the listening sockets that a service manager passed to this process under a name: socket activation
  /// with `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID` (systemd.socket(5), sd_listen_fds(3)).
  ///
  /// Several sockets of one name, as of a unit with several `ListenStream=`, are one listener. Every descriptor that
  /// was passed becomes `CLOEXEC`, those of other names too, so that no program that this one starts inherits it.
  ///
  /// The service manager keeps the sockets: a stop leaves the queue to the next server, as with
  /// ``adopt(_:backlog:timeouts:file:line:)``.
  /// ```swift
  /// let inherited = try Listener.inherited(named: "web")
  /// let listener = if let inherited { inherited } else { try Listener.bind("localhost:8080") }
  /// ```
  /// - Parameters:
  ///   - name: `FileDescriptorName=` of the unit, by default the unit's own name (`web.socket`); `nil` for all sockets.
  ///   - unsettingEnvironment: whether to remove the variables afterwards, so that a program that this one starts
  ///     does not read them. Do so while no other thread reads the environment, and with the last name.
  ///   - backlog: the backlog that ``resume()`` sets; the current one is not changed.
  ///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
  ///   - file: the source file that a leak report names as the place of opening.
  ///   - line: the line in `file`.
  /// - Returns: `nil` when the variables are missing or meant for another process, or no socket has the name.
  /// - Throws: `.invalid` when the variables are malformed, or when a socket of that name is not a listening stream
  ///   socket of TCP or Unix, or was taken over already; `.system(EBADF)` when it is not open. No socket is taken
  ///   over then.
  public static func inherited(
    named name: String? = nil, unsettingEnvironment: Bool = false, backlog: Int = Listener.defaultBacklog,
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener? {
    guard let inherited = try InheritedDescriptors.current() else { return nil }
    for descriptor in inherited.all {
      // One that is not open fails when it is adopted.
      try? Syscalls.closeOnExec(descriptor.number)
    }
    let wanted = inherited.all.filter { name == nil || $0.name == name }
    let listener = try Listener.adopting(
      wanted.map(\.number), backlog: backlog, timeouts: timeouts, file: file, line: line)
    if unsettingEnvironment { Environment.unset("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES") }
    return listener
  }

  /// Adopts several listening sockets as one listener. On failure all of them are untouched.
  ///
  /// - Returns: `nil` when there are none.
  static func adopting(
    _ numbers: [CInt], backlog: Int, timeouts: Timeouts, file: StaticString, line: UInt
  ) throws(SocketError) -> Listener? {
    var cores: [Core] = []
    do throws(SocketError) {
      for number in numbers {
        let listener = try Listener.adopt(
          FileDescriptor(rawValue: number), backlog: backlog, timeouts: timeouts, file: file, line: line)
        cores.append(listener.reference.core)
      }
      guard let first = cores.first else { return nil }
      try first.join(Array(cores.dropFirst()))
      return Listener(core: first, backlog: backlog, timeouts: timeouts)
    } catch {
      for core in cores { _ = try? core.detach() }
      throw error
    }
  }
}
