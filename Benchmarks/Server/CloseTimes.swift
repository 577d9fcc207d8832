import Dispatch
import Fin
@preconcurrency import Glibc

/// From the call of `close` to its report, on loopback, where the peer closes as soon as it reads the end.
///
/// Prints one line of JSON: each policy with its median and its 99th percentile, in microseconds.
enum CloseTimes {
  static let repetitions = 2000

  static func measure() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let (address, handle) = (listener.address, listener.handle)
    // The client has a thread of its own; this one serves.
    DispatchQueue(label: "client").async {
      do { try measureAsClient(of: address) } catch {
        fputs("\(error)\n", stderr)
        exit(1)
      }
      handle.stop(within: .seconds(1))
    }
    let report = listener.serve(threads: 2, closing: .background) { connection in
      while let bytes = try connection.receive(upTo: 4096) { try connection.send(bytes) }
    }
    if let failure = report.failure { throw failure }
  }

  private static func measureAsClient(of server: SocketAddress) throws {
    let figures = try ClosePolicy.all.map { policy in
      var times: [Double] = []
      for _ in 0..<repetitions {
        let connection = try Connection.connect(to: server)
        try connection.send([UInt8](repeating: 7, count: 64))
        _ = try connection.receive(exactly: 64)
        times.append(connection.close(policy).duration / .microseconds(1))
      }
      times.sort()
      let name = "\(policy)".prefix { $0 != " " && $0 != "," }
      return "\"\(name)\": {\"p50_us\": \(times[times.count / 2]), \"p99_us\": \(times[times.count * 99 / 100])}"
    }
    print("{\(figures.joined(separator: ", "))}")
  }
}
