import Fin

func connectTwice() throws {
  // expect-error: 'socket' consumed more than once
  let socket = try Socket(.ipv4)
  let connection = try socket.connect(to: .loopback(port: 7))
  #if MISUSE
  try socket.connect(to: .loopback(port: 8)).close()
  #endif
  connection.close()
}
