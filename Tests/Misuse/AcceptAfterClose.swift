import Fin

func acceptAfterClose() throws {
  // expect-error: 'listener' used after consume
  let listener = try Listener.bind("localhost:0")
  listener.close()
  #if MISUSE
  try listener.accept().close()
  #endif
}
