import Fin
import Foundation
import Glibc
import HTTPExample
import HTTPTypes
import Synchronization
import Testing

/// Serves a body's clients, until the body has returned.
///
/// - Returns: the body's result, and the report of the server.
func withServer<R: Sendable>(
  _ server: HTTPServer, _ body: @escaping @Sendable (_ place: Endpoint, _ handle: ListenerHandle) async throws -> R
) async throws -> (result: R, report: ServerReport) {
  let listener = try Listener.bind(.loopback(port: 0))
  let (place, handle) = (Endpoint(listener.localAddress), listener.handle)
  let clients = Task {
    defer { handle.stop(within: .seconds(60)) }
    return try await body(place, handle)
  }
  let report = await listener.serve { connection in try await server.converse(over: connection) }
  return (try await clients.value, report)
}

/// Serves a body's clients with a handler for whole connections: a server that breaks the rules on purpose.
func withRawServer<R: Sendable>(
  _ handler: @escaping @Sendable (SharedConnection) async throws -> Void,
  _ body: @escaping @Sendable (_ place: Endpoint) async throws -> R
) async throws -> R {
  let listener = try Listener.bind(.loopback(port: 0))
  let (place, handle) = (Endpoint(listener.localAddress), listener.handle)
  let clients = Task {
    defer { handle.stop(within: .seconds(60)) }
    return try await body(place)
  }
  _ = await listener.serve { connection in try await handler(connection.share()) }
  return try await clients.value
}

/// Sends bytes to a server and returns all that comes until the server finishes.
///
/// - Parameter finishing: whether this side finishes behind its bytes.
func talk(_ place: Endpoint, _ text: String, finishing: Bool = false) async throws -> String {
  let connection = try await Connection.connect(to: place).share()
  let answer: [UInt8]
  do {
    // A server that refuses the first bytes may have closed before the last.
    try? await connection.send(text)
    if finishing { try? await connection.finishSending() }
    answer = try await connection.receiveAll(limit: 1 << 20)
  } catch {
    await connection.abort()
    throw error
  }
  await connection.close()
  return String(decoding: answer, as: UTF8.self)
}

/// Reads a request without a body, for a server that breaks the rules.
func receiveRequest(_ connection: SharedConnection) async throws -> String? {
  try await connection.receive(until: Array("\r\n\r\n".utf8)).map { String(decoding: $0, as: UTF8.self) }
}

/// A client of a server, over a pool that the body's end closes.
func withClient<R>(
  of place: Endpoint, limits: HTTPLimits = HTTPLimits(), pool: PoolLimits = PoolLimits(),
  _ body: (HTTPClient) async throws -> R
) async throws -> (result: R, report: PoolReport) {
  let client = HTTPClient(over: ConnectionPool(to: place, limits: pool), host: "test", limits: limits)
  do {
    let result = try await body(client)
    return (result, await client.pool.close())
  } catch {
    await client.pool.close()
    throw error
  }
}

/// Text, for comparing bodies.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// A list that tasks append to.
final class Notes<Element: Sendable>: Sendable {
  private let list = Mutex<[Element]>([])
  var all: [Element] { list.withLock { $0 } }
  func add(_ element: Element) { list.withLock { $0.append(element) } }
}

/// Another program: a real peer.
enum Program {
  /// Runs a command of the shell for a minute at most.
  ///
  /// - Returns: its exit status, and its output and errors together.
  static func run(_ command: String, input: String = "") async throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["-s", "KILL", "60", "/bin/sh", "-c", command]
    let (output, standardInput) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError, process.standardInput) = (output, output, standardInput)
    try process.run()
    try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try standardInput.fileHandleForWriting.close()
    return await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        continuation.resume(returning: (process.terminationStatus, String(decoding: bytes, as: UTF8.self)))
      }
    }
  }

  /// Starts a program that goes on running.
  ///
  /// - Returns: the process, and the first line that it prints.
  static func start(_ words: [String]) async throws -> (process: Process, line: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let output = Pipe()
    (process.standardOutput, process.standardInput) = (output, FileHandle.nullDevice)
    try process.run()
    let line = await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        var bytes = Data()
        while bytes.last != UInt8(ascii: "\n") {
          let more = output.fileHandleForReading.availableData
          if more.isEmpty { break }
          bytes += more
        }
        continuation.resume(returning: String(decoding: bytes, as: UTF8.self))
      }
    }
    return (process, line.trimmingCharacters(in: .newlines))
  }

  /// Kills a process that goes on running.
  ///
  /// A test may run on an event loop, which blocks signals; what it starts there inherits that, and would not notice
  /// SIGTERM.
  static func kill(_ process: Process) {
    if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
  }

  /// Waits for the end of a process.
  ///
  /// - Returns: its exit status.
  static func status(of process: Process) async -> Int32 {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        process.waitUntilExit()
        continuation.resume(returning: process.terminationStatus)
      }
    }
  }

  /// Whether the shell finds a program.
  static func exists(_ name: String) -> Bool {
    let paths = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
    return paths.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }
  }

  /// The program of this package, beside the tests.
  static func ours(_ name: String) throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
  }
}
