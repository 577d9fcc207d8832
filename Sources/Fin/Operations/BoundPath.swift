internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The identity of a file, whatever its name.
struct FileIdentity: Equatable, Sendable {
  let device: UInt
  let inode: UInt

  init(device: UInt, inode: UInt) {
    self.device = device
    self.inode = inode
  }

  init(_ status: stat) { self.init(device: UInt(status.st_dev), inode: UInt(status.st_ino)) }
}

/// The file that `bind(2)` made, so that closing removes that file and no other.
final class BoundPath: Sendable {
  /// An absolute path, because the process may change its working directory.
  let path: [UInt8]
  let identity: FileIdentity

  init(path: [UInt8], identity: FileIdentity) {
    self.path = path
    self.identity = identity
  }

  /// Removes the file if it still is the one that binding made. While the socket is open no other file can have its
  /// inode number.
  func remove() {
    guard let status = try? Syscalls.status(of: path), FileIdentity(status) == identity else { return }
    try? Syscalls.unlink(path)
  }
}

/// The occupant of a path to which a socket is to be bound.
private enum Occupant {
  case nothing
  /// A socket's file to which no socket is bound any more.
  case stale(FileIdentity)
  /// A file to which a socket is bound.
  case living
  case symbolicLink
  case otherFile
  case unknown(Errno)

  init(at path: UnixPath) {
    let status: stat
    do { status = try Syscalls.status(of: path.bytes) } catch {
      self = error == .noSuchFileOrDirectory ? .nothing : .unknown(error)
      return
    }
    switch status.st_mode & S_IFMT {
    case S_IFLNK: self = .symbolicLink
    case S_IFSOCK:
      switch Occupant.probe(path) {
      case nil: self = .stale(FileIdentity(status))
      case .noSuchFileOrDirectory?: self = .nothing
      case .permissionDenied?: self = .unknown(.permissionDenied)
      case .tooManyOpenFiles?: self = .unknown(.tooManyOpenFiles)
      case .tooManyOpenFilesInSystem?: self = .unknown(.tooManyOpenFilesInSystem)
      default: self = .living
      }
    default: self = .otherFile
    }
  }

  /// Connects a datagram socket to the path. The kernel looks for a socket of the file first and compares types second:
  /// a stream socket that listens, is paused, or does not listen yet answers `EPROTOTYPE` and does not notice the
  /// attempt; only a file without any socket answers `ECONNREFUSED`.
  ///
  /// - Returns: `nil` when no socket is bound to the file.
  private static func probe(_ path: UnixPath) -> Errno? {
    do throws(Errno) {
      let socket = Descriptor(owning: try Syscalls.socket(AF_UNIX, SocketKind.datagram.rawValue))
      try Syscalls.connect(socket.number, .unix(path))
      return Errno(rawValue: EISCONN)
    } catch { return error == .connectionRefused ? nil : error }
  }

  /// The reason why the occupant prevents binding; `nil` when it does not.
  func reason(_ path: UnixPath, _ kind: SocketKind) -> String? {
    switch self {
    case .nothing, .stale: nil
    case .living: PortOwner.note(.unix(path), kind) ?? "a live socket has this path"
    case .symbolicLink: "the path is a symbolic link, which Fin neither follows nor removes"
    case .otherFile: "the path is a file and not a socket, so Fin does not remove it"
    case .unknown(.permissionDenied):
      "the path is a socket of another user, and this user may not test whether it is live"
    case .unknown(let code): "the path is a socket, and the test whether it is live failed: \(code) (\(code.name))"
    }
  }
}

extension Core {
  /// Binds to a path, and remembers the file so that closing removes it.
  ///
  /// A file whose socket is gone is replaced. Two programs that start at the same time and find a stale path must not
  /// remove each other's file: a program that removes one holds a lock (`flock(2)`) on the folder, which leaves nothing
  /// behind, from the check until the new file exists. A socket counts as living as soon as it is bound, so that plain
  /// binding needs no lock. A server on another machine is not detected, where machines share the file system.
  func bind(to path: UnixPath, permissions: UInt32, _ access: Access) throws(SocketError) {
    let address = SocketAddress.unix(path)
    do throws(Errno) {
      // Before bind, so that no other user can connect at any moment, whatever the umask.
      try Syscalls.setPermissions(number(access), permissions)
      try Syscalls.bind(number(access), address)
    } catch {
      guard error == .addressInUse else { throw SocketError(.bind, .system(error), local: address) }
      if let reason = replaceStale(path, access) {
        throw SocketError(.bind, .system(error), local: address, note: reason)
      }
    }
    do throws(Errno) { try rememberPath(path, permissions) } catch {
      throw SocketError(.bind, .system(error), local: address, note: "the permissions of the path could not be set")
    }
  }

  /// Removes the file that a dead server left behind, and binds.
  ///
  /// - Returns: the reason for a failure; `nil` when the socket is bound.
  private func replaceStale(_ path: UnixPath, _ access: Access) -> String? {
    if let reason = Occupant(at: path).reason(path, kind) { return reason }
    let folder: Descriptor
    do throws(Errno) { folder = try lockFolder(of: path) } catch {
      return error == .timedOut
        ? "a dead server left the path behind, and another program holds the lock of its folder"
        : "a dead server left the path behind, and its folder cannot be locked to replace it: \(error) (\(error.name))"
    }
    return replaceStale(path, holding: folder, access)
  }

  private func replaceStale(_ path: UnixPath, holding lock: borrowing Descriptor, _ access: Access) -> String? {
    // A program that takes no lock may bind in between, so the number of attempts is limited.
    for _ in 0..<8 {
      let occupant = Occupant(at: path)
      if let reason = occupant.reason(path, kind) { return reason }
      do throws(Errno) {
        if case .stale(let identity) = occupant {
          guard FileIdentity(try Syscalls.status(of: path.bytes)) == identity else { continue }
          try Syscalls.unlink(path.bytes)
        }
        try Syscalls.bind(number(access), .unix(path))
        return nil
      } catch {
        switch error {
        case .addressInUse, .noSuchFileOrDirectory: continue
        case .permissionDenied, .notPermitted:
          return "a dead server left the path behind, and this user may not remove it"
        default: return "a dead server left the path behind, and it cannot be replaced: \(error) (\(error.name))"
        }
      }
    }
    return "other programs took the path each time that it was free"
  }

  /// Locks the folder of a path. Waits 1 s at most: a holder keeps the lock only while it removes one file and
  /// makes another.
  private func lockFolder(of path: UnixPath) throws(Errno) -> Descriptor {
    let slash = path.bytes.lastIndex(of: UInt8(ascii: "/"))
    let folder = slash.map { Array(path.bytes[...$0]) } ?? [UInt8(ascii: ".")]
    let descriptor = Descriptor(owning: try Syscalls.open(folder, O_RDONLY | O_DIRECTORY))
    let deadline = Deadline(after: .seconds(1))
    let pause = Parker()
    while try !Syscalls.tryLock(descriptor.number) {
      if deadline.hasPassed { throw .timedOut }
      // flock(2) has no timeout.
      _ = pause.park(until: Deadline(after: .milliseconds(2)))
    }
    return descriptor
  }

  private func rememberPath(_ path: UnixPath, _ permissions: UInt32) throws(Errno) {
    var absolute = path.bytes
    if absolute.first != UInt8(ascii: "/"), let folder = Syscalls.currentFolder() {
      absolute = folder + [UInt8(ascii: "/")] + absolute
    }
    let status = try Syscalls.status(of: path.bytes)
    let bound = BoundPath(path: absolute, identity: FileIdentity(status))
    boundPath.withLock { $0 = bound }
    // The umask removed bits. They are set by descriptor, because the name may be another file's by now.
    guard status.st_mode & 0o777 != permissions & 0o777 else { return }
    let file = Descriptor(owning: try Syscalls.open(path.bytes, CInt(FIN_O_PATH) | O_NOFOLLOW))
    guard FileIdentity(try Syscalls.status(file.number)) == bound.identity else { throw .noSuchFileOrDirectory }
    try Syscalls.setPermissions(throughPath: file.number, permissions & 0o777)
  }
}
