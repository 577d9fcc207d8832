/// The values of Fin's task-locals, which a new thread does not inherit.
struct InheritedTaskLocals {
  private let ledger = Ledger.current
  #if FIN_SEAM
  private let script = Seam.script
  #endif

  static var current: InheritedTaskLocals { InheritedTaskLocals() }

  func surround(_ body: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    #if FIN_SEAM
    { [ledger, script] in Ledger.$current.withValue(ledger) { Seam.$script.withValue(script, operation: body) } }
    #else
    { [ledger] in Ledger.$current.withValue(ledger, operation: body) }
    #endif
  }
}
