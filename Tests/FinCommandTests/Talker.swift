import FoundationEssentials
import Glibc
import Peers

/// A `fin connect` or `fin serve` that runs beside the test, with pipes as its input and output. Standard error goes
/// to a file without a name.
final class Talker: Sendable {
  let child: Child
  private let errors: CInt

  init(_ arguments: [String]) throws {
    var name = Array("/tmp/fin-talker-XXXXXX".utf8CString)
    errors = unsafe mkstemp(&name)
    guard errors >= 0 else { throw RigError("mkstemp", code: errno) }
    unsafe unlink(name)
    _ = fcntl(errors, F_SETFD, FD_CLOEXEC)
    do { child = try Child.spawn(Fin.path, arguments, errorsTo: errors) } catch {
      close(errors)
      throw error
    }
  }

  deinit {
    child.end()
    close(errors)
  }

  /// Everything that it has written to standard error.
  var complaints: String {
    var room = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe pread(errors, &room, room.count, 0)
    return String(decoding: room.prefix(max(0, count)), as: UTF8.self)
  }

  /// The processor time that it has used, in hundredths of a second.
  func ticks() throws -> Int {
    let text = try String(contentsOfFile: "/proc/\(child.number)/stat", encoding: .utf8)
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    return (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
  }
}

/// A `fin serve` that runs beside the test, on a port of its own.
struct Serving {
  let talker: Talker
  let port: UInt16
  var child: Child { talker.child }

  /// - Parameter arguments: The words after the address.
  init(_ arguments: String...) throws { try self.init(words: arguments) }

  init(words: [String]) throws {
    talker = try Talker(["serve", "127.0.0.1:0"] + words)
    let line = try talker.child.readLine() ?? ""
    guard let port = line.split(separator: ":").last.flatMap({ UInt16($0.prefix { $0.isNumber }) }) else {
      throw RigError("fin serve said \(line) \(talker.complaints)")
    }
    self.port = port
  }

  /// The next line that it prints.
  func line() throws -> String { try child.readLine() ?? "" }

  func connect() throws -> PlainSocket { try PlainSocket.connected(to: "127.0.0.1", port: port) }

  /// The lines that it has not returned yet, to the last.
  func linesToEnd() throws -> [String] { try child.readToEnd().split(separator: "\n").map(String.init) }

  /// Stops it, and returns its status and the lines that it has not returned yet.
  func stop() throws -> (status: Child.Exit, lines: [String]) {
    child.signal(SIGTERM)
    let rest = try child.readToEnd()
    return (try child.wait(), rest.split(separator: "\n").map(String.init))
  }
}

extension PlainSocket {
  /// Accepts a client, however long a busy machine takes to start it.
  func awaitClient() throws -> PlainSocket {
    for _ in 0..<11 {
      do throws(RigError) { return try accept() } catch {
        guard error.code == EAGAIN else { throw error }
      }
    }
    return try accept()
  }

  /// Receives this text, or throws.
  func expect(_ text: String) throws {
    var seen: [UInt8] = []
    while seen.count < text.utf8.count {
      let more = try receive(upTo: text.utf8.count - seen.count)
      if more.isEmpty { throw RigError("the end after \(seen), and not \(text)") }
      seen += more
    }
    guard seen == Array(text.utf8) else { throw RigError("\(seen) is not \(text)") }
  }

  /// The error that ends the connection; 0 when the peer has finished.
  func awaitEnd() -> CInt {
    for _ in 0..<12 {
      do throws(RigError) {
        while true { if try receive().isEmpty { return 0 } }
      } catch {
        if error.code != EAGAIN { return error.code }
      }
    }
    return EAGAIN
  }
}

/// A folder that is removed with the value.
final class Scratch {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("fin-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
