import Glibc
import Peers
import SystemPackage

@testable import Fin

/// A file of a test, in a folder that goes with it.
final class TestFile: Sendable {
  private let folder: TemporaryFolder
  let path: String
  let descriptor: FileDescriptor

  init(_ bytes: [UInt8] = [], appending: Bool = false) throws {
    folder = try TemporaryFolder()
    path = folder.path + "/file"
    descriptor = try FileDescriptor.open(
      FilePath(path), .readWrite, options: appending ? [.create, .append, .closeOnExec] : [.create, .closeOnExec],
      permissions: .ownerReadWrite)
    if !bytes.isEmpty { try write(bytes) }
  }

  deinit { try? descriptor.close() }

  func write(_ bytes: [UInt8]) throws {
    _ = try descriptor.writeAll(bytes)
    _ = try descriptor.seek(offset: 0, from: .start)
  }

  var position: Int64 { (try? descriptor.seek(offset: 0, from: .current)) ?? -1 }

  /// All bytes of the file.
  var content: [UInt8] {
    let size = Int((try? descriptor.seek(offset: 0, from: .end)) ?? 0)
    guard size > 0 else { return [] }
    var bytes = [UInt8](repeating: 0, count: size)
    let got = unsafe bytes.withUnsafeMutableBytes { room in
      (try? unsafe descriptor.read(fromAbsoluteOffset: 0, into: room)) ?? 0
    }
    return Array(bytes.prefix(got))
  }
}

/// In a thread or in a task: how a test calls a verb.
enum FileWorld: CaseIterable, Sendable {
  case thread, task

  /// Sends a file on a connection that others may close.
  func send(
    _ connection: SharedConnection, _ file: FileDescriptor, from position: Int64? = nil, count: Int? = nil,
    within: Timeout = .seconds(30)
  ) throws -> Int {
    switch self {
    case .thread: try connection.sendFile(file, from: position, count: count, within: within)
    case .task:
      try inTask(within: .seconds(60)) {
        try await connection.sendFile(file, from: position, count: count, within: within)
      }
    }
  }

  func receive(
    _ connection: SharedConnection, _ file: FileDescriptor, count: Int? = nil, within: Timeout = .seconds(30)
  ) throws -> Int {
    switch self {
    case .thread: try connection.receive(to: file, count: count, within: within)
    case .task:
      try inTask(within: .seconds(60)) { try await connection.receive(to: file, count: count, within: within) }
    }
  }
}

/// Bytes in which a part that is missing, doubled or moved shows: a block whose length is no multiple of any buffer's,
/// again and again, each time with another first byte.
func filePattern(_ count: Int) -> [UInt8] {
  let block = (0..<10_007).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + block.count)
  while bytes.count < count {
    bytes.append(UInt8(truncatingIfNeeded: bytes.count / block.count))
    bytes += block
  }
  return Array(bytes.prefix(count))
}
