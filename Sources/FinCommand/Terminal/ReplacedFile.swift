import FinDoctor
import Glibc

/// A file that is replaced as a whole: a reader sees the old bytes or the new ones, and never a part.
enum ReplacedFile {
  /// The reason why a file could not be written, as a phrase that follows its name.
  struct Refusal: Error, Hashable {
    var reason: String

    fileprivate init(_ reason: String) { self.reason = reason }

    fileprivate init(_ call: String, _ error: CInt) {
      reason = "\(call): \(unsafe strerror(error).map { unsafe String(cString: $0) } ?? "error \(error)")"
    }
  }

  /// Writes the bytes to a new file in the same folder, and gives it the name.
  ///
  /// The file is flushed to its disk before it gets the name, so that the name never leads to an empty file after a
  /// crash of the machine. A link of that name is replaced, and not followed. A name that leads to a device, a pipe
  /// or a folder is refused: it would be replaced too.
  /// - Parameter mode: The permissions of the new file; by default, every user may read it.
  static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(Refusal) {
    let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
    let (folder, name) = (String(path[..<slash]), path[slash...])
    guard !name.isEmpty, name != ".", name != ".." else { throw Refusal("it is a folder") }
    var present = stat()
    if unsafe stat(path, &present) == 0, present.st_mode & S_IFMT != S_IFREG { throw Refusal("it is no regular file") }
    // node_exporter reads files whose name ends in .prom: this one must not.
    let aside = "\(folder).\(name).\(getpid()).new"
    _ = unsafe unlink(aside)
    let descriptor = unsafe open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw Refusal("a new file cannot be made beside it", errno) }
    do throws(Refusal) {
      try fill(descriptor, bytes, mode)
      guard unsafe rename(aside, path) == 0 else { throw Refusal("the new file cannot get its name", errno) }
    } catch {
      _ = unsafe unlink(aside)
      throw error
    }
    // The name itself is on the disk when its folder is. A file system that cannot do that has no error to act on.
    let parent = unsafe open(folder.isEmpty ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if parent >= 0 {
      _ = fsync(parent)
      close(parent)
    }
  }

  /// Writes, flushes and closes.
  private static func fill(_ descriptor: CInt, _ bytes: [UInt8], _ mode: mode_t) throws(Refusal) {
    var failure: Refusal?
    // The file mode creation mask may have taken bits away.
    if fchmod(descriptor, mode) != 0 { failure = Refusal("its mode cannot be set", errno) }
    var rest = bytes[...]
    while failure == nil, !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress!, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if count == 0 || errno != EINTR {
        failure = Refusal("it cannot be written", count == 0 ? EIO : errno)
      }
    }
    if failure == nil, fsync(descriptor) != 0 { failure = Refusal("it cannot be written", errno) }
    if close(descriptor) != 0, failure == nil, errno != EINTR { failure = Refusal("it cannot be written", errno) }
    if let failure { throw failure }
  }
}
