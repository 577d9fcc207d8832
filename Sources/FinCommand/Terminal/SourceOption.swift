import ArgumentParser
import FinDoctor
import FinTerminal
import Glibc

/// The options to examine a census from a file, or from a history.
struct SourceOption: ParsableArguments {
  @Option(
    name: .customLong("from"),
    help: ArgumentHelp("Examine this file of fin census instead of the machine.", valueName: "file"),
    completion: .file())
  var file: String?

  @Option(
    help: ArgumentHelp(
      "Examine the machine as fin record saw it then: 02:13, \"yesterday 02:13\", \"3 h ago\", ISO 8601.",
      valueName: "time"),
    transform: WrittenMoment.init(parsing:))
  var at: WrittenMoment?

  @OptionGroup var history: HistoryDirectory

  /// Whether the command examines a record, and not the machine as it is now.
  var isUsed: Bool { file != nil || at != nil }

  func validate() throws {
    guard file == nil || at == nil else { throw ValidationError("--from and --at exclude each other.") }
    guard history.directory == nil || at != nil else { throw ValidationError("--directory needs --at.") }
  }

  /// Reads the file or the history; nil if neither is named.
  /// - Parameter options: The data that the command would read from the machine; the rest of the record is left out.
  func read(_ options: Census.Options) throws -> CensusRecord? {
    guard let at else { return try readFile(options) }
    var record = try HistoryReader.opening(history.folder).record(at: at)
    record.census.select(options)
    return record
  }

  private func readFile(_ options: Census.Options) throws -> CensusRecord? {
    guard let file else { return nil }
    let bytes = try Self.bytes(of: file)
    var record: CensusRecord
    do {
      record = try CensusRecord(json: bytes)
    } catch {
      throw ExitStatus.badData.because("\(visible(file)): \(error)")
    }
    record.census.select(options)
    return record
  }

  /// Reads a file, or ends the command with the reason why it cannot be read.
  static func bytes(of file: String) throws -> [UInt8] {
    func failure() -> ExitCode {
      let reason = unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "error"
      return ExitStatus.noInput.because("\(visible(file)) cannot be read: \(reason)")
    }
    let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 20)
    while bytes.count <= CensusRecord.mostBytes {
      let count = unsafe Glibc.read(descriptor, &room, room.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw failure()
      }
      if count == 0 { break }
      bytes += room[..<count]
    }
    return bytes
  }
}

extension CensusRecord {
  /// The gaps of the census and of its file, one sentence each.
  var hidden: [String] {
    notes + census.gaps.sentences
      + (missing.isEmpty
        ? [] : ["the file lacks fields that this version of fin knows: \(missing.prefix(8).joined(separator: ", "))"])
  }
}
