/// The holder of a socket that has an inode and no descriptor in any process that could be read.
package enum Keeper: Hashable, Sendable {
  /// An io_uring of this process, which has the socket as a registered file.
  case ring(pid: Int32)
  /// A message with descriptors (SCM_RIGHTS), sent to the Unix socket of this descriptor and not received.
  case message(Holder)
  /// The kernel, for a network interface, such as a tunnel over UDP.
  case interface(name: String, kind: String)
  /// The kernel, for a purpose of its own: every process could be read, and no message with descriptors waits.
  case kernel
  /// The kernel, or a message: messages with descriptors wait, but at several sockets, or fewer than such sockets.
  case unclear
  /// A process that could not be seen, as far as is known.
  case unseen

  /// Whether the kernel has the socket for itself, so that no program can give it back.
  package var isKernel: Bool { if case .interface = self { true } else { self == .kernel } }

  /// The kind as one word, for JSON.
  package var word: String {
    switch self {
    case .ring: "ring"
    case .message: "message"
    case .interface: "interface"
    case .kernel: "kernel"
    case .unclear: "unclear"
    case .unseen: "unseen"
    }
  }
}

extension Census {
  /// Whether a socket has an inode, and therefore was made for a descriptor or for the kernel, and no readable process
  /// holds it.
  func isWithoutDescriptor(_ index: Int) -> Bool {
    // The subflows of a closed MPTCP connection stay for a while.
    sockets[index].inode != 0 && holders.first(of: sockets[index].inode) == nil && !sockets[index].isSubflow
  }

  /// The holder of the socket of this inode, if no descriptor holds it; nil where a descriptor does, or where it was
  /// only being opened or closed at the moment of the census.
  package func keeper(of inode: UInt32) -> Keeper? { keepers.isEmpty ? nil : keepers[inode] }

  /// The keeper in words that follow "held by": `the kernel, for the vxlan interface vx0`.
  package func words(_ keeper: Keeper) -> String {
    func name(_ pid: Int32) -> String { programs[pid].map { "\($0.title) (pid \(pid))" } ?? "process \(pid)" }
    switch keeper {
    case .ring(let pid): return "an io_uring of \(name(pid)), as a registered file"
    case .message(let receiver):
      return "a message with descriptors (SCM_RIGHTS) that \(name(receiver.pid)) has not received from descriptor "
        + "\(receiver.descriptor)"
    case .interface(let interface, let kind): return "the kernel, for the \(kind) interface \(interface)"
    case .kernel: return "the kernel itself"
    case .unclear: return "the kernel itself, or a message with descriptors (SCM_RIGHTS) that no process has received"
    case .unseen: return "a process that could not be seen"
    }
  }

  /// The change that gives such a socket back.
  package func remedy(_ keeper: Keeper) -> String {
    switch keeper {
    case .ring:
      "Unregister the file when the connection ends (IORING_REGISTER_FILES_UPDATE with -1), or close the ring."
    case .message:
      "Receive the message with room for its descriptors, and close those that are not needed, also of a truncated "
        + "message (MSG_CTRUNC); or close the receiving socket, which drops the message."
    case .interface(let interface, _):
      "Nothing in a program. If the interface is not needed: ip link delete \(interface)."
    case .kernel:
      "Nothing in a program: a service of the kernel has opened it (a tunnel, NFS, a storage client). Stop that "
        + "service."
    case .unclear:
      "Receive messages with room for their descriptors, and close those of a truncated one (MSG_CTRUNC). If the "
        + "kernel has opened it, stop that service (a tunnel, NFS, a storage client)."
    case .unseen: "Look as root, in the PID namespace of the machine: only then every process can be seen."
    }
  }
}
