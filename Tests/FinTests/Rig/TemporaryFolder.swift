import Glibc
import Peers

/// A temporary folder, removed with its files when this object is deinitialized.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/fin.XXXXXX\0".utf8).map { CChar(bitPattern: $0) }
    guard unsafe mkdtemp(&template) != nil else { throw RigError("mkdtemp", code: errno) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in entries { unsafe _ = unlink("\(path)/\(name)") }
    unsafe _ = rmdir(path)
  }

  /// The names of the files in it, sorted.
  var entries: [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe _ = closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The type and permissions of a file, from `lstat`; `nil` when there is none.
  static func mode(_ path: String) -> (type: mode_t, permissions: mode_t)? {
    var value = stat()
    guard unsafe lstat(path, &value) == 0 else { return nil }
    return (value.st_mode & S_IFMT, value.st_mode & 0o777)
  }

  static func inode(_ path: String) -> UInt64? {
    var value = stat()
    return unsafe lstat(path, &value) == 0 ? UInt64(value.st_ino) : nil
  }
}
