import Glibc
import Peers

/// A folder of one test, removed with the files in it.
final class TemporaryFolder {
  let path: String

  init() throws {
    var name = Array("/tmp/fin-test-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw RigError("no folder could be made") }
    path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in names {
      let path = "\(path)/\(name)"
      if unsafe unlink(path) != 0 { _ = unsafe rmdir(path) }
    }
    _ = unsafe rmdir(path)
  }

  /// The names in it, in order.
  var names: [String] {
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

  /// The permissions of a file in it.
  func mode(of name: String) -> UInt32? {
    var status = stat()
    return unsafe stat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o7777 : nil
  }
}
