import Fin

func closeWhileInUse() throws {
  let connection = try Connection.connect(to: "localhost:7")
  // expect-error: 'connection' is borrowed and cannot be consumed
  func use(_ connection: borrowing Connection) throws {
    try connection.send("lent")
    #if MISUSE
    connection.close()
    #endif
  }
  try use(connection)
  connection.close()
}
