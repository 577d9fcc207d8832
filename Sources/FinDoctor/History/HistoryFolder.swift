internal import CFin
internal import FinBase
internal import Glibc

/// The reason why a history cannot be written or read, as a sentence.
package struct HistoryFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kinds of reasons, which have exit statuses of their own.
  package enum Kind: Hashable, Sendable {
    /// SQLite is missing, another recorder runs, or the history has no such time.
    case unavailable
    /// The folder or a file may not be used.
    case notPermitted
    /// The folder cannot be read.
    case noFolder
    /// The disk is full, or a write failed otherwise.
    case notWritten
  }

  package var kind: Kind
  package let description: String

  package init(_ kind: Kind, _ sentence: String) {
    self.kind = kind
    description = sentence
  }
}

/// The folder of a history, with its files in the order in which they were made.
///
/// A file is named by the day of its first look, in UTC, and by its number: `2026-11-29.12.fin`. It is written by one
/// run of one recorder, and then never again: what is too old is removed as a whole.
package struct HistoryFolder: Sendable {
  /// One file.
  package struct File: Hashable, Comparable, Sendable {
    package var number: Int
    /// The day of its first look, in days since 1970.
    package var day: Int
    package var name: String

    package static func < (left: File, right: File) -> Bool { left.number < right.number }

    /// Parses a name; nil for that of another file.
    init?(name: String) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count == 3, parts[2] == "fin", let number = Int(decimal: Array(parts[1].utf8)), number > 0,
        let day = HistoryDay(parts[0])
      else { return nil }
      (self.number, self.day, self.name) = (number, day.number, name)
    }

    init(number: Int, day: Int) {
      (self.number, self.day) = (number, day)
      name = "\(HistoryDay(number: day)).\(number).fin"
    }
  }

  package let path: String

  package init(_ path: String) { self.path = path }

  /// The path of a file, as it is opened.
  func path(of file: File) -> String { "\(path)/\(file.name)" }
  /// The path for a message.
  func shown(_ file: File) -> String { visible(path(of: file)) }

  /// The files, the oldest first.
  package func files() throws(HistoryFault) -> [File] {
    var names: [String] = []
    do throws(KernelError) {
      let folder = try Descriptor(path, flags: O_RDONLY | O_DIRECTORY)
      try FolderReader().forEachFile(in: folder.number) { names.append($0) }
    } catch {
      let hint = error.isGone ? "; fin record writes one" : ""
      throw HistoryFault(.noFolder, "the history in \(visible(path)) cannot be read: \(error)\(hint)")
    }
    return names.compactMap { File(name: $0) }.sorted()
  }

  /// The bytes of a file, with those that SQLite keeps beside it.
  func size(of file: File) -> Int {
    ["", "-wal", "-shm"].reduce(0) { sum, suffix in
      sum + ((try? Files.status(path(of: file) + suffix)).map { Int($0.st_size) } ?? 0)
    }
  }

  /// Removes a file as a whole.
  func remove(_ file: File) {
    for suffix in ["", "-wal", "-shm"] { _ = unsafe unlink(path(of: file) + suffix) }
  }

  /// Makes the folder for a recorder, and checks that it is the recorder's own.
  package func prepare() throws(HistoryFault) {
    if unsafe mkdir(path, 0o750) != 0 {
      let error = KernelError.last
      guard error.code == EEXIST else {
        throw HistoryFault(.notPermitted, "the folder \(visible(path)) cannot be made: \(error)")
      }
    }
    let owner = try owner()
    guard owner == geteuid() else {
      throw HistoryFault(
        .notPermitted,
        "the folder \(visible(path)) belongs to user \(owner), and fin runs as user \(geteuid()): name another one "
          + "with --directory")
    }
    for file in try files() {
      guard let status = try? Files.status(path(of: file)), status.st_uid != geteuid() else { continue }
      throw HistoryFault(
        .notPermitted, "\(shown(file)) belongs to user \(status.st_uid), and not to the user of fin: move it away")
    }
  }

  /// The owner of the folder.
  func owner() throws(HistoryFault) -> UInt32 {
    do throws(KernelError) {
      let folder = try Descriptor(path, flags: O_RDONLY | O_DIRECTORY)
      return try folder.status().st_uid
    } catch {
      throw HistoryFault(.noFolder, "the folder \(visible(path)) cannot be read: \(error)")
    }
  }

  /// The reason why a file is not read, as a phrase behind its name; nil for a file of the folder's owner, who must be
  /// root or the reader's own user, unless root reads.
  func refusal(of file: File, folderOwner: UInt32) -> String? {
    let reader = geteuid()
    do throws(KernelError) {
      let status = try Descriptor(path(of: file), flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK).status()
      guard status.st_mode & S_IFMT == S_IFREG else { return "is no regular file" }
      guard status.st_uid == folderOwner else {
        return "belongs to user \(status.st_uid), and its folder to user \(folderOwner)"
      }
      guard reader == 0 || folderOwner == 0 || folderOwner == reader else {
        return "belongs to user \(folderOwner), who is neither root nor the user of fin"
      }
      return nil
    } catch {
      return "cannot be opened: \(error)"
    }
  }
}

/// A day, for the names of files.
struct HistoryDay: CustomStringConvertible {
  /// Days since 1970.
  var number: Int

  init(number: Int) { self.number = number }
  init(milliseconds: Int64) { number = Int(milliseconds >= 0 ? milliseconds / 86_400_000 : 0) }

  /// Parses `2026-11-29`.
  init?(_ text: Substring) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int(decimal: Array($0.utf8)) }
    guard parts.count == 3, let year = parts[0], let month = parts[1], let day = parts[2], (1970...9999).contains(year),
      (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    var time = unsafe tm()
    unsafe (time.tm_year, time.tm_mon, time.tm_mday) = (CInt(year - 1900), CInt(month - 1), CInt(day))
    number = unsafe timegm(&time) / 86_400
  }

  var description: String {
    var moment = time_t(number * 86_400)
    var time = unsafe tm()
    unsafe gmtime_r(&moment, &time)
    func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return unsafe "\(time.tm_year + 1900)-\(two(time.tm_mon + 1))-\(two(time.tm_mday))"
  }
}
