import Fin

func copiedOwner() throws {
  #if MISUSE
  func keep<Value>(_ value: Value) {}
  #else
  func keep<Value: ~Copyable>(_ value: consuming Value) {}
  #endif
  let connection = try Connection.connect(to: "localhost:7")
  // expect-error: local function 'keep' requires that 'Connection' conform to 'Copyable'
  keep(connection)
}
