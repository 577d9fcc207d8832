#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "Secured: fin relay with TLS on either side",
  .enabled(if: Programs.find("openssl") != nil, "needs the program openssl on PATH"), .onThreads,
  .timeLimit(.minutes(30)))
struct SecuredRelay {
  private func certificate(_ scratch: Scratch) async throws {
    let words =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext "
      + "subjectAltName=DNS:localhost,IP:127.0.0.1 -out \(scratch.path)/it.pem -keyout \(scratch.path)/it.key"
    let made = try await Fin.run(program: "openssl", words.split(separator: " ").map(String.init))
    #expect(made.status == 0, "\(made.complaints)")
  }

  @Test("secured on both sides: a question and its answer, and close_notify each way")
  func both() async throws {
    let scratch = try Scratch()
    try await certificate(scratch)
    let own = ["--tls", "--cert", scratch.path + "/it.pem", "--key", scratch.path + "/it.key"]
    let server = try Serving(words: own + ["--echo"])
    let target = ["--target-tls", "--target-name", "localhost", "--target-ca", scratch.path + "/it.pem"]
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(server.port)", "--json"] + own + target)
    let port = try Relaying.port(of: relay)
    let fin = try await Fin.shell(
      "printf 'a question\\n' | \"$0\" connect localhost:\(port) --tls --ca \(scratch.path)/it.pem")
    #expect(fin.status == 0 && fin.output == "a question\n", "\(fin.complaints)")
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(#""isDelivered":true"#), "\(line)")
    #expect(line.split(separator: #""closeNotifyReceived":true"#).count == 3, "\(line)")
    #expect(try server.line().contains("close_notify sent and received"))
  }

  @Test("a target that is not the wanted one: the client is reset, and the line says why")
  func unverified() async throws {
    let scratch = try Scratch()
    try await certificate(scratch)
    let server = try Serving(
      words: ["--tls", "--cert", scratch.path + "/it.pem", "--key", scratch.path + "/it.key", "--echo"])
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(server.port)", "--target-tls"])
    let port = try Relaying.port(of: relay)
    #expect(try PlainSocket.connected(to: "127.0.0.1", port: port).awaitEnd() == ECONNRESET)
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(": reset (secure ") && line.contains("not proven"), "\(line)")
  }
}
#endif
