import Foundation
import Synchronization

/// A list that tasks append to.
final class Notes<Element: Sendable>: Sendable {
  private let list = Mutex<[Element]>([])
  var all: [Element] { list.withLock { $0 } }
  func add(_ element: Element) { list.withLock { $0.append(element) } }
}

/// The program of this package, in a process of its own.
struct Server: Sendable {
  let process: Process
  /// The first line that it printed.
  let line: String

  /// Starts it, and waits for its first line.
  ///
  /// - Parameter activator: words before the program, such as those of a service manager.
  init(_ arguments: [String], activator: [String] = []) async throws {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let program = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("hummingbird-server")
      .path
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = activator + [program] + arguments
    let output = Pipe()
    (process.standardOutput, process.standardInput) = (output, FileHandle.nullDevice)
    try process.run()
    self.process = process
    line = await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        var bytes = Data()
        while !bytes.contains(UInt8(ascii: "\n")) {
          let more = output.fileHandleForReading.availableData
          if more.isEmpty { break }
          bytes += more
        }
        let line = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        continuation.resume(returning: line)
        // So that the program never waits for a reader of its log.
        while !output.fileHandleForReading.availableData.isEmpty {}
      }
    }
  }

  /// Sends SIGTERM, and waits for the end.
  ///
  /// - Returns: the exit status.
  func terminate() async -> Int32 {
    process.terminate()
    return await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        process.waitUntilExit()
        continuation.resume(returning: process.terminationStatus)
      }
    }
  }
}

/// The backlog of a listener on this machine, as `ss` reads it from the kernel.
func backlog(ofPort port: UInt16) throws -> Int? {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["ss", "-Hltn", "sport = :\(port)"]
  let output = Pipe()
  process.standardOutput = output
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return text.split(separator: " ").dropFirst(2).first.flatMap { Int($0) }
}

/// The largest backlog that the kernel gives a listener, `net.core.somaxconn`.
func largestBacklog() throws -> Int {
  let text = try String(contentsOfFile: "/proc/sys/net/core/somaxconn", encoding: .utf8)
  return Int(text.prefix { $0.isNumber }) ?? 0
}

/// Whether the shell finds a program.
func exists(_ name: String) -> Bool {
  let paths = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
  return paths.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
}
