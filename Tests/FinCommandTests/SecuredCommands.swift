import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin connect and fin serve with TLS", .onThreads, .timeLimit(.minutes(30)))
struct SecuredCommands {
  @Test(
    "words that contradict each other, or that need --tls, are refused",
    arguments: [
      ["connect", "localhost:1", "--ca", "x.pem"], ["connect", "localhost:1", "--pin", "00"],
      ["connect", "localhost:1", "--unverified", "a test"], ["serve", ":0", "--echo", "--cert", "x.pem"],
      ["serve", ":0", "--echo", "--key", "x.pem"],
    ])
  func refused(words: [String]) async throws {
    let fin = try await Fin.run(words)
    #expect(fin.status == 64 && fin.complaints.contains("they need --tls."), "\(fin.complaints)")
  }

  #if TLS
  /// A folder with the certificate of localhost, signed by itself, and another one.
  private struct Certificates {
    let scratch: Scratch
    let server: [String]
    var root: String { scratch.path + "/good.pem" }
    var other: String { scratch.path + "/other.pem" }
    var key: String { scratch.path + "/good.key" }

    init() async throws {
      scratch = try Scratch()
      for name in ["good", "other"] {
        let words =
          "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext "
          + "subjectAltName=DNS:localhost,IP:127.0.0.1 -out \(scratch.path)/\(name).pem "
          + "-keyout \(scratch.path)/\(name).key"
        let made = try await Fin.run(program: "openssl", words.split(separator: " ").map(String.init))
        #expect(made.status == 0, "\(made.complaints)")
      }
      server = ["--tls", "--cert", "\(scratch.path)/good.pem", "--key", "\(scratch.path)/good.key"]
    }

    func serving(_ words: String...) throws -> Serving { try Serving(words: server + words) }
  }

  /// The text behind a `< /dev/null` run, and its status.
  private func connect(_ port: UInt16, _ words: String...) async throws -> Fin {
    try await Fin.shell(
      "printf 'a question\\n' | \"$0\" connect localhost:\(port) --tls " + words.joined(separator: " "))
  }

  @Test("both ends say close_notify, and each says so of the other", arguments: [["--echo"], ["--exec", "cat"]])
  func whole(service: [String]) async throws {
    let certificates = try await Certificates()
    let server = try Serving(words: certificates.server + service)
    let fin = try await connect(server.port, "--verbose", "--ca", certificates.root)
    #expect(fin.status == 0 && fin.output == "a question\n", "\(fin.complaints)")
    #expect(fin.complaints.contains("; close_notify sent and received; "), "\(fin.complaints)")
    #expect(fin.complaints.contains("secured with TLSv1.3, "), "\(fin.complaints)")
    let line = try server.line()
    #expect(line.contains(": peer finished; 11 bytes received, 11 sent; close_notify sent and received; "), "\(line)")
    #expect(try server.stop().status == .exited(0))
  }

  @Test("a server that is not proven to be the wanted one: status 76, and why; its line says so too")
  func unknown() async throws {
    let certificates = try await Certificates()
    let server = try certificates.serving("--echo")
    let fin = try await connect(server.port, "--ca", certificates.other)
    #expect(fin.status == 76 && fin.output.isEmpty, "\(fin.complaints)")
    #expect(fin.complaints.contains("the peer is not proven to be the wanted one"), "\(fin.complaints)")
    let line = try server.line()
    #expect(line.contains(": aborted (secure ") && line.contains("refused with the alert"), "\(line)")
    let plain = try await Fin.shell("echo 'GET / HTTP/1.0' | \"$0\" connect localhost:\(server.port)")
    #expect(plain.status != 0)
    #expect(try server.line().contains("the peer does not speak TLS here"))
    let (status, lines) = try server.stop()
    #expect(status == .exited(0) && lines.last?.hasPrefix("stopped: 2 served: 2 aborted") == true, "\(lines)")
  }

  @Test("--verbose shows the hash of the key, which --pin accepts; another pin is refused")
  func pinned() async throws {
    let certificates = try await Certificates()
    let server = try certificates.serving("--echo")
    let open = try await connect(server.port, "--verbose", "--unverified 'to learn the hash'")
    #expect(open.status == 0, "\(open.complaints)")
    let words = open.complaints.split(whereSeparator: \.isWhitespace)
    let place = try #require(words.firstIndex(of: "key"))
    let pin = String(words[place + 1])
    #expect(try await connect(server.port, "--pin", pin).status == 0)
    let wrong = try await connect(server.port, "--pin", String(pin.reversed()))
    #expect(wrong.status == 76 && wrong.complaints.contains("which is not pinned"), "\(wrong.complaints)")
    let none = try await connect(server.port, "--pin", "abc")
    #expect(none.status == 66 && none.complaints.contains("is no SHA-256"), "\(none.complaints)")
  }

  /// A server that sends half an answer and then a FIN without close_notify.
  private static let cutting = """
    import socket, ssl, sys
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    tls = context.wrap_socket(listener.accept()[0], server_side=True)
    tls.recv(100)
    tls.sendall(b"half an answer")
    raw = socket.socket(fileno=tls.detach())
    raw.shutdown(socket.SHUT_WR)
    while raw.recv(65536): pass
    """

  @Test("an answer that is cut off: status 76, the bytes that came, and the word truncated", arguments: [true, false])
  func truncated(inJSON: Bool) async throws {
    let certificates = try await Certificates()
    let peer = try Child.spawn(
      try #require(Programs.find("python3")), ["-c", Self.cutting, certificates.root, certificates.key])
    defer { peer.end() }
    let port = try #require(UInt16(try peer.readLine() ?? ""))
    let fin = try await connect(port, "--ca", certificates.root, inJSON ? "--json" : "")
    #expect(fin.status == 76 && fin.output == "half an answer", "\(fin.complaints)")
    if inJSON {
      #expect(fin.complaints.contains("\"closeNotifyReceived\":false"), "\(fin.complaints)")
      #expect(fin.complaints.contains("\"ending\":\"truncated\""), "\(fin.complaints)")
      try SchemaTests.expect(
        Fin(status: 0, output: fin.complaints, complaints: ""),
        toHave: try await Fin.run("help", "json", "connect", columns: 1000))
    } else {
      #expect(fin.complaints.contains("it ended without the peer's close_notify"), "\(fin.complaints)")
      #expect(fin.complaints.contains("; close_notify sent, none received; "), "\(fin.complaints)")
    }
  }

  @Test("a client that is cut off: the server's line says so, in JSON too")
  func clientTruncated() async throws {
    let certificates = try await Certificates()
    let server = try certificates.serving("--json", "--echo")
    let client = try Child.spawn(
      try #require(Programs.find("openssl")),
      ["s_client", "-quiet", "-connect", "127.0.0.1:\(server.port)", "-CAfile", certificates.root])
    try client.write("half\n")
    #expect(try client.readLine() == "half")
    client.end()
    let line = try server.line()
    #expect(line.contains("it ended without the peer's close_notify"), "\(line)")
    #expect(line.contains("\"closeNotifyReceived\":false"), "\(line)")
    let whole = try await connect(server.port, "--ca", certificates.root)
    #expect(whole.status == 0, "\(whole.complaints)")
    let next = try server.line()
    #expect(next.contains("\"closeNotifyReceived\":true"), "\(next)")
    try SchemaTests.expect(
      Fin(status: 0, output: next, complaints: ""),
      toHave: try await Fin.run("help", "json", "serve", columns: 1000))
    _ = try server.stop()
  }

  @Test("a file that is no certificate: status 66 before the port is opened, with the file's name")
  func files() async throws {
    let certificates = try await Certificates()
    let fin = try await Fin.run(
      "serve", "127.0.0.1:0", "--echo", "--tls", "--cert", certificates.key, "--key", certificates.key)
    #expect(fin.status == 66 && fin.complaints.contains("good.key is no chain of certificates"), "\(fin.complaints)")
    let none = try await Fin.run("serve", "127.0.0.1:0", "--echo", "--tls", "--cert", certificates.root)
    #expect(none.status == 64 && none.complaints.contains("--tls needs --cert FILE and --key FILE"))
    let both = try await Fin.run("connect", "localhost:1", "--tls", "--ca", "x", "--pin", "y")
    #expect(both.status == 64 && both.complaints.contains("Only one of"))
  }
  #else
  @Test("a fin without TLS says how to build one with it", arguments: [["connect", ":1"], ["serve", ":0", "--echo"]])
  func without(words: [String]) async throws {
    let fin = try await Fin.run(words + ["--tls"])
    #expect(fin.status == 64 && fin.complaints.contains("swift build -c release --product fin --traits TLS"))
  }
  #endif
}
