// AsyncSocket on the epoll socket pool, with one child task for each connection, as FlyingFox serves.
import FlyingSocks
@preconcurrency import Foundation

@main
enum Server {
  static func main() async throws {
    guard CommandLine.arguments.count == 3, let size = Int(CommandLine.arguments[2]) else {
      fputs("usage: flyingsocks echo|count BUFFER\n", stderr)
      exit(2)
    }
    let counting = CommandLine.arguments[1] == "count"
    let pool = SocketPool.ePoll()
    try await pool.prepare()

    let socket = try Socket(domain: AF_INET)
    try socket.setValue(true, for: .localAddressReuse)
    // Accepted sockets inherit this option.
    try socket.setValue(true, for: BoolSocketOption(level: Int32(IPPROTO_TCP), name: TCP_NODELAY))
    try socket.bind(to: .inet(ip4: "127.0.0.1", port: 0))
    try socket.listen()
    guard case .ip4(_, let port) = try socket.sockname() else { fatalError("no IPv4 address") }
    let listener = try AsyncSocket(socket: socket, pool: pool)
    print("port \(port)")
    fflush(nil)

    try await withThrowingDiscardingTaskGroup { group in
      group.addTask { try await pool.run() }
      for try await connection in listener.sockets {
        group.addTask { await serve(connection, size: size, counting: counting) }
      }
    }
  }

  private static func serve(_ connection: AsyncSocket, size: Int, counting: Bool) async {
    var total: UInt64 = 0
    do {
      do {
        while true {
          let bytes = try await connection.read(atMost: size)
          total += UInt64(bytes.count)
          if !counting { try await connection.write(Data(bytes)) }
        }
      } catch SocketError.disconnected {
        // The client's end of file.
        if counting { try await connection.write(withUnsafeBytes(of: total.bigEndian) { Data($0) }) }
      }
      try connection.close()
    } catch {
      fputs("\(error)\n", stderr)
      try? connection.close()
    }
  }
}
