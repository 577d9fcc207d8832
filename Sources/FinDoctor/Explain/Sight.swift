/// The sight of a census: how much of each kind this process may see, and which rights would add the rest.
///
/// The counts are those of the census: a right that a security module or a user namespace takes away again is seen by
/// its effect, and not assumed from the list of capabilities.
package struct Sight: Hashable, Sendable {
  /// The effective user that the census was taken by.
  package var user: UInt32
  /// The effective capabilities that it was taken with.
  package var capabilities: Capabilities
  /// Whether the process is in the machine's first user namespace. In another one, a capability counts only for what
  /// belongs to that namespace.
  package var isInFirstUserNamespace: Bool
  /// The kinds of things to see, in the order of their weight.
  package var views: [View] = []

  /// A kind of thing that a census counts or the command does.
  package enum Kind: String, CaseIterable, Hashable, Sendable {
    /// The processes whose descriptors can be read.
    case processes
    /// The sockets that a process holds, by whether that process is known.
    case owners
    /// The network namespaces.
    case namespaces
    /// `fin kill`.
    case kill
    /// One pass of a BPF program over all descriptors, instead of reading `/proc`: faster, with the same result.
    case pass
  }

  /// The part of one kind that is seen, and the rights that would show the rest.
  package struct View: Hashable, Sendable {
    package var kind: Kind
    /// The number that is seen; nil for what is no number.
    package var seen: Int?
    /// The number that is hidden; nil where it cannot be known.
    package var hidden: Int?
    /// Whether all of it is seen, or the command may do it.
    package var isWhole: Bool
    /// The capabilities that it takes for the processes of every user.
    package var needs: [Capability]
    /// Those of them that are not effective.
    package var missing: [Capability]
    /// The possible reasons why something is hidden although no capability is missing; nil if nothing is.
    package var otherCause: String?
  }

  /// The sight of a census that this process took.
  package init(of census: Census) {
    self.init(
      of: census, user: ThisProcess.user, capabilities: .ofThisProcess,
      isInFirstUserNamespace: ThisProcess.isInFirstUserNamespace)
  }

  /// The sight of a census that was taken with these rights.
  package init(of census: Census, user: UInt32, capabilities: Capabilities, isInFirstUserNamespace: Bool) {
    self.user = user
    self.capabilities = capabilities
    self.isInFirstUserNamespace = isInFirstUserNamespace
    let gaps = census.gaps
    let unread = gaps.unreadableProcessCount
    var processes = view(
      .processes, seen: census.holders.processes.count { $0.isReadable }, hidden: unread, [.ptrace, .readSearch])
    if gaps.hidesProcesses {
      processes.isWhole = false
      if unread == 0 { processes.hidden = nil }
      processes.otherCause =
        "processes are not listed: fin runs in a PID namespace of its own, or /proc is mounted with hidepid"
    }
    views.append(processes)
    var owners = view(
      .owners, seen: Set(census.holders.entries.lazy.map(\.inode)).count, hidden: gaps.unseenHolders,
      [.ptrace, .readSearch])
    if gaps.unseenHolders > 0, gaps.hidesProcesses { owners.otherCause = processes.otherCause }
    views.append(owners)
    views.append(
      view(.namespaces, seen: census.namespaces.count, hidden: gaps.skippedNamespaces, [.sysAdmin, .ptrace]))
    views.append(view(.kill, [.netAdmin]))
    views.append(view(.pass, [.bpf, .perfmon]))
  }

  /// A kind that is counted.
  private func view(_ kind: Kind, seen: Int, hidden: Int, _ needs: [Capability]) -> View {
    var view = view(kind, needs)
    view.seen = seen
    view.hidden = hidden
    view.isWhole = hidden == 0
    if hidden > 0, view.missing.isEmpty {
      view.otherCause =
        isInFirstUserNamespace
        ? "no capability: a security module (AppArmor, SELinux), a filter (seccomp) or a process's own user namespace"
        : "the capabilities are those of a user namespace, and count only for its own processes and networks"
    }
    return view
  }

  /// A kind that is allowed by capabilities alone.
  private func view(_ kind: Kind, _ needs: [Capability]) -> View {
    let missing = needs.filter { !capabilities.includes($0) }
    return View(kind: kind, isWhole: missing.isEmpty, needs: needs, missing: missing)
  }
}
