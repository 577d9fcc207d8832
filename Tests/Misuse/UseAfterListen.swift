import Fin

func useAfterListen() throws {
  // expect-error: 'socket' used after consume
  let socket = try Socket(.ipv4)
  try socket.bind(to: .loopback(port: 0))
  let listener = try socket.listen()
  #if MISUSE
  try socket.bind(to: .loopback(port: 1))
  #endif
  listener.close()
}
