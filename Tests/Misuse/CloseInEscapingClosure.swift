import Fin

func closeInEscapingClosure() throws -> () -> Void {
  let connection = try Connection.connect(to: "localhost:7")
  #if MISUSE
  // expect-error: noncopyable 'connection' cannot be consumed when captured by an escaping closure or borrowed by a non-Escapable type
  return { connection.close() }
  #else
  let shared = connection.share()
  return { shared.close() }
  #endif
}
