import Fin

func useAfterFinishing() throws {
  // expect-error: 'connection' used after consume
  let connection = try Connection.connect(to: "localhost:7")
  let receiving = connection.finishSending()
  #if MISUSE
  try connection.send("one more")
  #endif
  receiving.close()
}
