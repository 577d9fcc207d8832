import Fin

/// Measures the time from the call of `close` to its report, on loopback, with a peer that closes as soon as it reads
/// the end of file.
///
/// Prints one line of JSON: for each policy, the median and the 99th percentile in microseconds.
enum CloseTimes {
  static let repetitions = 2000

  static func measure() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let (address, handle) = (listener.localAddress, listener.handle)
    // Each end has an event loop of its own, as if the other end were on another machine.
    let (here, there) = (try Reactor(loops: 1), try Reactor(loops: 1))
    let client = Task(executorPreference: here.executor) {
      defer { handle.stop(within: .seconds(1)) }
      return try await measureAsClient(of: address)
    }
    let report = await listener.serve(on: there, closing: .background) { connection in
      while let bytes = try await connection.receive(upTo: 4096) { try await connection.send(bytes) }
    }
    if let failure = report.failure { throw failure }
    print("{\(try await client.value.joined(separator: ", "))}")
  }

  private static func measureAsClient(of server: SocketAddress) async throws -> [String] {
    var figures: [String] = []
    for policy in ClosePolicy.all {
      var times: [Double] = []
      for _ in 0..<repetitions {
        let connection = try await Connection.connect(to: server)
        try await connection.send([UInt8](repeating: 7, count: 64))
        _ = try await connection.receive(exactly: 64)
        times.append(await connection.close(policy).duration / .microseconds(1))
      }
      times.sort()
      let name = "\(policy)".prefix { $0 != " " && $0 != "," }
      figures.append(
        "\"\(name)\": {\"p50_us\": \(times[times.count / 2]), \"p99_us\": \(times[times.count * 99 / 100])}")
    }
    return figures
  }
}
