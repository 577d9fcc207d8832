import FoundationEssentials
import Glibc
import Peers
import Testing

/// A server program that tests put behind `fin relay`, with a question and the beginning of its answer.
struct RelayedProgram: Sendable {
  let name: String
  /// The reason for which it cannot run here; `nil` when it can.
  let missing: String?
  let question: [UInt8]
  /// The bytes with which every answer begins.
  let answer: String
  /// The smallest number of bytes of an answer.
  let least: Int
  /// Whether a kill of the program ends its connections: they belong to this one process.
  let isOneProcess: Bool
  private let words: @Sendable (_ folder: String, _ port: UInt16) throws -> [String]

  private init(
    _ description: String, needs programs: [String], _ question: String, _ answer: String, least: Int,
    isOneProcess: Bool = true, _ words: @escaping @Sendable (String, UInt16) throws -> [String]
  ) {
    name = description
    missing = programs.first { Programs.find($0) == nil && !FileManager.default.fileExists(atPath: $0) }
    self.question = Array(question.utf8)
    self.answer = answer
    self.least = least
    self.isOneProcess = isOneProcess
    self.words = words
  }

  /// Starts the program on a port that nothing else uses, and waits until it listens there.
  func start(in folder: String) throws -> (child: Child, port: UInt16) {
    let place = try PlainSocket.listening()
    let port = place.port
    place.close()
    let words = try words(folder, port)
    let child = try Child.spawn(try #require(Programs.find(words[0])), Array(words.dropFirst()))
    try eventually("\(name) to listen") {
      try KernelView.tcp(localPort: port).contains { $0.state == .listen }
    }
    return (child, port)
  }

  /// Runs a program that prepares another one, to its end.
  private static func prepare(_ name: String, _ words: [String]) throws {
    let child = try Child.spawn(try #require(Programs.find(name)), words)
    defer { child.end() }
    _ = try child.readToEnd(within: .seconds(120))
    guard try child.wait() == .exited(0) else { throw RigError("\(name) failed") }
  }

  private static func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  // MARK: The programs

  static let nginx = RelayedProgram(
    "nginx", needs: ["nginx"], "GET /file HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", least: 3_000_000
  ) { folder, port in
    try Data(numbered(3_000_000)).write(to: URL(filePath: folder + "/file"))
    try Self.write(
      """
      daemon off; master_process off; pid \(folder)/pid; error_log stderr emerg; events {}
      http {
        access_log off; client_body_temp_path \(folder)/1; proxy_temp_path \(folder)/2; fastcgi_temp_path \(folder)/3;
        uwsgi_temp_path \(folder)/4; scgi_temp_path \(folder)/5;
        server { listen 127.0.0.1:\(port); root \(folder); }
      }
      """, folder + "/conf")
    return ["nginx", "-p", folder, "-c", folder + "/conf"]
  }

  /// The configuration of HAProxy for one of its modes.
  private static func haproxyConfiguration(_ mode: String) -> String {
    """
    global
     log stderr local0 emerg
    defaults
     mode \(mode)
     timeout connect 60s
     timeout client 60s
     timeout server 60s

    """
  }

  static let haproxy = RelayedProgram(
    "HAProxy", needs: ["haproxy"], "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", least: 50
  ) { folder, port in
    try Self.write(
      Self.haproxyConfiguration("http") + """
        frontend it
         bind 127.0.0.1:\(port)
         http-request return status 200 content-type text/plain string "hello from the server"

        """, folder + "/conf")
    return ["haproxy", "-f", folder + "/conf"]
  }

  /// HAProxy that requires a header of the PROXY protocol, and tells each client its address.
  static let haproxyBehindAProxy = RelayedProgram(
    "HAProxy with accept-proxy", needs: ["haproxy"], "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", least: 50
  ) { folder, port in
    try Self.write(
      Self.haproxyConfiguration("http") + """
        frontend it
         bind 127.0.0.1:\(port) accept-proxy
         http-request return status 200 content-type text/plain lf-string "you are %[src]:%[src_port]."

        """, folder + "/conf")
    return ["haproxy", "-f", folder + "/conf"]
  }

  /// HAProxy that passes connections on to a port, with a header of version 2 before each.
  static func haproxy(before target: UInt16) -> RelayedProgram {
    RelayedProgram("HAProxy with send-proxy-v2", needs: ["haproxy"], "", "", least: 0) { folder, port in
      try Self.write(
        Self.haproxyConfiguration("tcp") + """
          listen it
           bind 127.0.0.1:\(port)
           server next 127.0.0.1:\(target) send-proxy-v2

          """, folder + "/conf")
      return ["haproxy", "-f", folder + "/conf"]
    }
  }

  static let redis = RelayedProgram(
    "redis", needs: ["redis-server"], "SETRANGE k 2999999 x\r\nGET k\r\n", ":3000000\r\n$3000000\r\n", least: 3_000_000
  ) { folder, port in
    [
      "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder,
      "--logfile", folder + "/log",
    ]
  }

  static let goServer = RelayedProgram(
    "Go", needs: ["go"], "hello\n", "you said hello\n", least: 3_000_000
  ) { folder, port in
    try Self.write(
      """
      package main

      import ("bufio"; "net"; "os")

      func main() {
      	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
      	if err != nil { os.Exit(69) }
      	for {
      		client, err := listener.Accept()
      		if err != nil { return }
      		go func() {
      			defer client.Close()
      			line, err := bufio.NewReader(client).ReadString('\\n')
      			if err != nil { return }
      			client.Write([]byte("you said " + line))
      			client.Write(make([]byte, 3000000))
      		}()
      	}
      }

      """, folder + "/server.go")
    let program = folder + "/server"
    if !FileManager.default.fileExists(atPath: program) {
      try Self.prepare("go", ["build", "-o", program, folder + "/server.go"])
    }
    // Through a shell, because it is on no path.
    return ["sh", "-c", "exec \"$0\" \"$1\"", program, "\(port)"]
  }

  static let asyncio = RelayedProgram(
    "Python's asyncio", needs: ["python3"], "hello\n", "you said hello\n", least: 3_000_000
  ) { _, port in
    let script = """
      import asyncio, sys

      async def serve(reader, writer):
          try:
              writer.write(b"you said " + await reader.readline() + bytes(3000000))
              await writer.drain()
          except ConnectionError: pass
          writer.close()

      async def main():
          server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
          await server.serve_forever()

      asyncio.run(main())
      """
    return ["python3", "-c", script, "\(port)"]
  }

  private static let postgresFolder =
    (9...30).reversed().map { "/usr/lib/postgresql/\($0)/bin" }.first { unsafe access("\($0)/postgres", X_OK) == 0 }
    ?? "/usr/lib/postgresql"

  private static func message(_ kind: String, _ body: String) -> String {
    let size = UInt32(body.utf8.count + 4)
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * UInt32($0))) }
    precondition(bytes.allSatisfy { $0 < 128 }, "the length is text as well")
    return kind + String(decoding: bytes, as: UTF8.self) + body
  }

  static let postgres = RelayedProgram(
    "PostgreSQL", needs: [postgresFolder + "/postgres", "setpriv"],
    message("", "\0\u{3}\0\0user\0fin\0database\0postgres\0\0") + message("Q", "select repeat('x', 3000000)\0")
      + message("X", ""), "R\0\0\0\u{8}\0\0\0\0", least: 3_000_000, isOneProcess: false
  ) { folder, port in
    // The server refuses to run as root.
    let asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
    let data = folder + "/data"
    unsafe mkdir(data, 0o700)
    unsafe chown(data, 65534, 65534)
    unsafe chmod(folder, 0o755)
    try Self.prepare(
      "setpriv",
      asNobody + ["\(Self.postgresFolder)/initdb", "-D", data, "-U", "fin", "-A", "trust", "-N", "--no-locale"])
    return ["setpriv"] + asNobody + [
      "\(Self.postgresFolder)/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1",
      "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_min_messages=panic",
    ]
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips the test, with the name of what is missing, where the program cannot run.
  static func runs(_ program: RelayedProgram) -> ConditionTrait {
    .enabled(if: program.missing == nil, "needs \(program.missing ?? "nothing")")
  }
}
