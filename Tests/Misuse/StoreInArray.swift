import Fin

func storeInArray() throws {
  let connection = try Connection.connect(to: "localhost:7")
  #if MISUSE
  // expect-error: generic struct 'Array' requires that 'Connection' conform to 'Copyable'
  let connections = [connection]
  #else
  let connections = [connection.share()]
  #endif
  _ = connections
}
