import Glibc

/// A file that configures `fin`: it decides what `fin` says, so it must belong to the user who runs it.
///
/// Its path may come from an environment that another user has made (`sudo` may keep `HOME`). So it is opened without
/// following a link and without waiting. Until its owner is known, no part of it is believed or shown in an error.
enum ConfigurationFile {
  /// The limit on the size of a file, in bytes.
  static let limit = 1 << 20

  /// The reason why a file is not used.
  enum Refusal: Error, Hashable {
    case absent
    /// A phrase that follows the file's name.
    case because(String)
  }

  /// Returns the text of a file.
  static func read(_ path: String) throws(Refusal) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    guard descriptor >= 0 else {
      switch errno {
      case ENOENT, ENOTDIR: throw .absent
      case ELOOP: throw .because("is a symbolic link, which fin does not follow")
      default: throw .because("cannot be opened: \(reason(errno))")
      }
    }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .because("cannot be examined: \(reason(errno))") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .because("is not a regular file") }
    guard status.st_uid == geteuid() || status.st_uid == 0 else {
      throw .because("belongs to user \(status.st_uid), who may not configure fin for user \(geteuid())")
    }
    guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
      throw .because("can be written by others: chmod go-w")
    }
    // Read beyond the limit by one byte, because the file may grow meanwhile.
    guard let bytes = bytes(descriptor, atMost: limit + 1) else { throw .because("cannot be read: \(reason(errno))") }
    guard bytes.count <= limit else { throw .because("is larger than \(limit) bytes") }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .because("is not UTF-8 text") }
    return text
  }

  private static func reason(_ error: CInt) -> String {
    unsafe strerror(error).map { unsafe String(cString: $0) } ?? "error \(error)"
  }

  private static func bytes(_ descriptor: CInt, atMost limit: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65536)
    while bytes.count < limit {
      let count = unsafe Glibc.read(descriptor, &room, min(room.count, limit - bytes.count))
      if count < 0 {
        if errno == EINTR { continue }
        return nil
      }
      if count == 0 { break }
      bytes += room[..<count]
    }
    return bytes
  }
}
