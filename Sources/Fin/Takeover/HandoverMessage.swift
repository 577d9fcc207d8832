/// A message of the handover protocol: one packet each, text, with the protocol's version in its first line.
///
/// | step | from | message | meaning |
/// | --- | --- | --- | --- |
/// | 1 | successor | `hello` | asks for the listeners |
/// | 1 | predecessor | `offer` | names them, and passes their descriptors |
/// | 2 | successor | `serving` | everything is ready; it accepts no client yet |
/// | 3 | predecessor | `yours` | it will detach as soon as the successor confirms |
/// | 3 | successor | `taken` | it accepts clients from now on |
/// | 3 | predecessor | end | it has detached, and the path is free |
///
/// Until `taken` has arrived the predecessor goes on accepting, so that a successor that dies takes no client with it.
/// `refused` ends a handover, with the reason.
enum HandoverMessage: Equatable {
  case hello, serving, yours, taken
  case offer([Offered])
  case refused(String)

  /// A listening socket that is offered. The descriptors are passed in the order of these.
  struct Offered: Equatable {
    /// The name of the listener; several sockets may have one name.
    let name: String
    /// The file that binding made, for a socket that removes it when it is closed.
    let file: FileNumbers?
  }

  /// The device and inode number of a file.
  struct FileNumbers: Equatable {
    let device: UInt
    let inode: UInt
  }

  /// The version of this program's protocol.
  static let version = 1
  private static let title = "fin-handover"

  /// Whether a name can stand in a message: at least one byte, no control character, at most 255 bytes.
  static func isName(_ name: String) -> Bool {
    (1...255).contains(name.utf8.count) && !name.utf8.contains { $0 < 0x20 || $0 == 0x7F }
  }

  var bytes: [UInt8] {
    var lines = ["\(HandoverMessage.title) \(HandoverMessage.version)"]
    switch self {
    case .hello: lines.append("hello")
    case .serving: lines.append("serving")
    case .yours: lines.append("yours")
    case .taken: lines.append("taken")
    case .refused(let reason): lines += ["refused", reason]
    case .offer(let all):
      lines.append("offer")
      for offered in all {
        lines.append("\(offered.name)\t\(offered.file?.device ?? 0)\t\(offered.file?.inode ?? 0)")
      }
    }
    return Array(lines.joined(separator: "\n").utf8)
  }

  enum Refusal: Error, Equatable {
    /// The other program speaks another version.
    case version(String)
    case malformed
  }

  /// Reads a message of this version.
  init(_ bytes: [UInt8]) throws(Refusal) {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed }
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let head = lines.removeFirst().split(separator: " ", omittingEmptySubsequences: false)
    guard head.count == 2, head[0] == HandoverMessage.title, head[1].utf8.count <= 20 else { throw .malformed }
    guard head[1] == "\(HandoverMessage.version)" else { throw .version(String(head[1])) }
    guard !lines.isEmpty else { throw .malformed }
    let word = lines.removeFirst()
    switch (word, lines.count) {
    case ("hello", 0): self = .hello
    case ("serving", 0): self = .serving
    case ("yours", 0): self = .yours
    case ("taken", 0): self = .taken
    case ("refused", 1): self = .refused(String(lines[0].prefix(200)))
    case ("offer", _):
      var all: [Offered] = []
      for line in lines {
        let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard parts.count == 3, HandoverMessage.isName(String(parts[0])), let device = UInt(parts[1]),
          let inode = UInt(parts[2])
        else { throw .malformed }
        let file = inode == 0 ? nil : FileNumbers(device: device, inode: inode)
        all.append(Offered(name: String(parts[0]), file: file))
      }
      self = .offer(all)
    default: throw .malformed
    }
  }

  /// The most bytes of a message.
  static let mostBytes = 128 << 10
}
