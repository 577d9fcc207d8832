import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("Age bounds contain the true age", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct BoundsHold {
  private struct Truth {
    var kind: Substring
    /// The monotonic clock just before and just after the client finished.
    var before, after: UInt64
  }

  @Test("300 random connections: every true age of CLOSE-WAIT and FIN-WAIT-2 lies within its bounds")
  func randomTraffic() throws {
    let seed = UInt32.random(in: 0 ... .max)
    try Scene.with("bounds", "\(seed)", "300") { scene in
      var servers: [UInt64: Truth] = [:]
      var clients: [UInt64: Truth] = [:]
      for _ in 0..<(try scene.number(0)) {
        let words = try #require(try scene.program.readLine()).split(separator: " ")
        let truth = Truth(
          kind: words[2], before: try #require(UInt64(words[3])), after: try #require(UInt64(words[4])))
        servers[try #require(UInt64(words[0]))] = truth
        clients[try #require(UInt64(words[1]))] = truth
      }
      let census = try scene.census()
      let end = try scene.census().when.monotonic
      var (quiet, narrow, seen) = (0, 0, 0)
      for socket in census.sockets {
        guard let truth = socket.state == .closeWait ? servers[socket.cookie] : clients[socket.cookie] else { continue }
        seen += 1
        let since = AgeBounds.inState(socket)
        // The row was read at some time between the two censuses.
        let least = (census.when.monotonic - truth.after) / 1_000_000
        let most = (end - truth.before) / 1_000_000
        #expect(
          since.lower <= most && since.upper >= least,
          "seed \(seed), \(truth.kind), \(socket.state): \(least) to \(most) ms, said \(since.lower) to \(since.upper)"
        )
        if socket.state == .closeWait, truth.kind != "late-write", truth.kind != "keepalive" {
          quiet += 1
          narrow += since.isExact ? 1 : 0
        }
      }
      #expect(seen == 600)
      // A write after the end or a keepalive probe overwrites the timestamp that gives the age.
      #expect(narrow * 10 >= quiet * 9, "seed \(seed): \(narrow) of \(quiet) within a tenth")
    }
  }
}
