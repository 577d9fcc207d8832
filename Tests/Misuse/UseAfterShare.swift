import Fin

func useAfterShare() throws {
  // expect-error: 'connection' used after consume
  let connection = try Connection.connect(to: "localhost:7")
  let shared = connection.share()
  #if MISUSE
  try connection.send("past the reference")
  #endif
  try shared.send("through the reference")
  shared.close()
}
