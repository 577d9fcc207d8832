import Fin

func useAfterDetach() throws -> DetachedDescriptor {
  // expect-error: 'connection' used after consume
  let connection = try Connection.connect(to: "localhost:7")
  let detached = try connection.detach()
  #if MISUSE
  try connection.send("through a stranger's descriptor")
  #endif
  return detached
}
