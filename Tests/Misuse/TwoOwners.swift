import Fin

func twoOwners() throws {
  // expect-error: 'first' consumed more than once
  let first = try Connection.connect(to: "localhost:7")
  let second = first
  second.close()
  #if MISUSE
  first.close()
  #endif
}
