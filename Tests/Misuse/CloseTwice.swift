import Fin

func closeTwice() throws {
  // expect-error: 'connection' consumed more than once
  let connection = try Connection.connect(to: "localhost:7")
  connection.close()
  #if MISUSE
  connection.close()
  #endif
}
