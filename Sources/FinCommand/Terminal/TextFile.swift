import Glibc

/// Reads small files, including those under `/proc`, which report no length.
enum TextFile {
  /// Returns the text of a file, at most its first megabyte; nil if the file cannot be read.
  static func read(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65536)
    while bytes.count < 1 << 20 {
      let count = unsafe Glibc.read(descriptor, &room, room.count)
      if count < 0 {
        if errno == EINTR { continue }
        return nil
      }
      if count == 0 { break }
      bytes += room[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
