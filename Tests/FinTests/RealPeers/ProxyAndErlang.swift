import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

@Suite("Real peers: HAProxy before a Fin server, and Erlang's send_timeout", .onThreads)
struct ProxyAndErlang {
  /// A connection that the server's handler got.
  private struct Seen: Sendable {
    var original: SocketAddress?
    var remote: SocketAddress?
    var line: String?
  }

  @Test(
    "HAProxy with send-proxy and send-proxy-v2: the client's address, and its health checks speak for no client",
    .needsProgram("haproxy"), arguments: ["send-proxy", "send-proxy-v2"], ServingWorld.allCases)
  func haproxy(option: String, world: ServingWorld) throws {
    let program = try #require(Programs.find("haproxy"))
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let handle = owner.listener.handle
    let limits = ServerLimits(proxies: [try #require(AddressPrefix("127.0.0.1"))])
    let seen = Shared()
    let join: () throws -> ServerReport
    switch world {
    case .threads:
      let thread = onThread {
        owner.listener.serve(threads: 8, limits: limits) { connection in
          // A health check may end with a reset, once it has connected.
          let line = try? connection.receiveLine()
          seen.add(Seen(original: connection.originalAddress, remote: connection.remoteAddress, line: line))
          if let line { try connection.send("\(line)\n") }
        }
      }
      join = { try thread.join(within: .seconds(60)) }
    case .tasks:
      let reactor = try Reactor(loops: 2)
      let task = Working(on: reactor.executor) {
        await owner.listener.serve(on: reactor, limits: limits) { connection in
          let line = try? await connection.receiveLine()
          seen.add(Seen(original: connection.originalAddress, remote: connection.remoteAddress, line: line))
          if let line { try await connection.send("\(line)\n") }
        }
      }
      join = { try task.join(within: .seconds(60)) }
    }
    let reserved = try PlainSocket.listening()
    let port = reserved.port
    reserved.close()
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/haproxy.cfg"
    let configuration = """
      defaults
        mode tcp
        timeout connect 20s
        timeout client 60s
        timeout server 60s
      listen front
        bind 127.0.0.1:\(port)
        server back 127.0.0.1:\(owner.listener.localAddress.port!) \(option) check check-send-proxy inter 50ms

      """
    guard let file = unsafe fopen(path, "w") else { throw RigError("fopen", code: errno) }
    unsafe fputs(configuration, file)
    unsafe fclose(file)
    let client = try withChild(program, ["-db", "-f", path]) { _ in
      // No event reports that another program listens.
      try eventually(within: .seconds(60), "HAProxy to listen") {
        try KernelView.tcp(localPort: port).contains { $0.state == .listen }
      }
      let visitor = try Visitor(port)
      let client = SocketAddress.ip(.v4(.loopback), port: visitor.socket.port)
      #expect(try visitor.ask("through \(option)") == "through \(option)\n")
      try eventually(within: .seconds(60), "a health check") { seen.all.contains { $0.line == nil } }
      return client
    }
    handle.stop(within: .seconds(30))
    let report = try join()
    let served = seen.all.filter { $0.line != nil }
    #expect(served.count == 1 && served.first?.line == "through \(option)", "\(served)")
    #expect(served.first?.original == client && served.first?.remote != client, "\(served)")
    let checks = seen.all.filter { $0.line == nil }
    // Version 2 has LOCAL for it. In version 1, HAProxy names itself as the client.
    let speaksForItself = checks.allSatisfy { $0.original == (option == "send-proxy" ? $0.remote : nil) }
    #expect(speaksForItself, "\(checks)")
    // HAProxy ends a check with a reset, or with a FIN.
    let endings = report.endings.filter { ![.peerFinished, .reset].contains($0.key) }
    #expect(endings.isEmpty && report.endings[.peerFinished, default: 0] >= 1, "\(report)")
    #expect(report.handlersFailed == 0 && report.refused == 0, "\(report)")
  }

  /// The connections that the handlers of a test have seen.
  private final class Shared: Sendable {
    private let seen = Mutex<[Seen]>([])
    func add(_ one: Seen) { seen.withLock { $0.append(one) } }
    var all: [Seen] { seen.withLock { $0 } }
  }

  @Test(
    "Erlang whose send_timeout closes: a FIN after a part, which only the count of bytes tells from the whole",
    .needsProgram("erl"))
  func erlang() throws {
    let program = try #require(Programs.find("erl"))
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let whole = 64 << 20
    let script =
      "{ok, S} = gen_tcp:connect({127,0,0,1}, \(port), [binary, {active, false}, {send_timeout, 200}, "
      + "{send_timeout_close, true}]), gen_tcp:send(S, binary:copy(<<65>>, \(whole))), "
      + "R = gen_tcp:send(S, <<\"more\">>), io:format(\"~p~n\", [R]), io:get_line(\"\"), halt()."
    try withChild(program, ["-noshell", "-eval", script]) { child in
      let connection = try listener.accept(within: .seconds(60))
      // Nothing is read until Erlang has given up.
      #expect(try child.readLine(within: .seconds(60)) == "{error,timeout}")
      var count = 0
      while let more = try connection.receive(upTo: 1 << 20, within: .seconds(60)) { count += more.count }
      #expect(count > 0 && count < whole)
      let report = connection.close()
      #expect(report.ending == .peerFinished, "\(report)")
    }
    // The other way round: Erlang never reads, and it is Fin's send that has the deadline.
    let silent =
      "{ok, S} = gen_tcp:connect({127,0,0,1}, \(port), [binary, {active, false}]), "
      + "io:format(\"~p~n\", [element(1, {connected, S})]), io:get_line(\"\"), halt()."
    try withChild(program, ["-noshell", "-eval", silent]) { child in
      let connection = try listener.accept(within: .seconds(60))
      #expect(try child.readLine(within: .seconds(60)) == "connected")
      do throws(SocketError) {
        try connection.send([UInt8](repeating: 65, count: whole), within: .milliseconds(200))
        Issue.record("the kernel took \(whole) bytes")
      } catch {
        #expect(error.cause == .timedOut && error.bytesAccepted > 0 && error.bytesAccepted < whole, "\(error)")
      }
      let report = connection.abort()
      #expect(report.ending == .aborted && report.bytesUnacknowledged > 0, "\(report)")
    }
    listener.close()
  }
}
