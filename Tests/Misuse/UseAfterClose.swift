import Fin

func useAfterClose() throws {
  // expect-error: 'connection' used after consume
  let connection = try Connection.connect(to: "localhost:7")
  connection.close()
  #if MISUSE
  try connection.send("too late")
  #endif
}
