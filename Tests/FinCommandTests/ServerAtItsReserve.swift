import FinDoctor
import Peers
import TestTraits
import Testing

@Suite(
  "A server of Fin that pauses accept at its reserve of descriptors",
  .enabled(
    if: Privileges.canMakeNamespaces && Programs.find("python3") != nil,
    "needs python3, and the right to make network namespaces: run as root"),
  .onThreads, .timeLimit(.minutes(30)))
struct ServerAtItsReserve {
  @Test("the limit of descriptors is the cause of the clients that wait, and the pause may be by design")
  func pause() throws {
    let network = try NetworkNamespace()
    let program = "\(Fin.path.dropLast(3))Leaking"
    let server = try network.run { try Child.spawn("/bin/sh", ["-c", "ulimit -n 100; exec \(program) serving 200"]) }
    defer { server.end() }
    let words = try server.readLine()?.split(separator: " ") ?? []
    let port = try #require(words.last.flatMap { UInt16($0) })
    let clients = try network.run { try Self.clients(of: port, 110) }
    defer { clients.end() }
    var chain: [Finding] = []
    try eventually(within: .seconds(120), "clients that wait for the server") {
      var options = Census.Options()
      options.readsAllNamespaces = false
      var census = try network.run { try Census.take(options) }
      var diagnosis = Diagnosis.Options()
      Diagnosis.prepare(&census, &diagnosis)
      let chains = Diagnosis.chains(Diagnosis.findings(in: census, diagnosis))
      chain = chains.first { $0.contains { $0.id == .acceptStalled && $0.who?.pid == server.number } } ?? []
      return !chain.isEmpty
    }
    #expect(chain.map(\.id) == [.descriptorLimit, .acceptStalled], "\(chain.map(\.sentence))")
    #expect(chain.last?.why?.contains("a server may pause accept by design before none is left") == true)
  }

  /// A program that connects and waits.
  private static func clients(of port: UInt16, _ count: Int) throws -> Child {
    let program = """
      import socket, sys
      kept = [socket.create_connection(("127.0.0.1", \(port))) for _ in range(\(count))]
      print("ready", flush=True)
      sys.stdin.read()
      """
    let child = try Child.spawn(#require(Programs.find("python3")), ["-c", program])
    guard try child.readLine() == "ready" else { throw RigError("the clients did not connect") }
    return child
  }
}
