import Fin

func sendAfterFinishing() throws {
  let connection = try Connection.connect(to: "localhost:7")
  let receiving = connection.finishSending()
  _ = try receiving.receive(upTo: 100)
  #if MISUSE
  // expect-error: value of type 'ReceivingConnection' has no member 'send'
  try receiving.send("one more")
  #endif
  receiving.close()
}
