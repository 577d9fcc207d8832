internal import FinBase

extension TCPState: CustomStringConvertible {
  /// The state as RFC 9293 writes it: `FIN-WAIT-2`.
  public var description: String { TCPStates.name(rawValue) ?? "STATE-\(rawValue)" }
}

extension Phase: CustomStringConvertible {
  /// The name in words: `send finished`.
  public var description: String { LedgerFormat.Phase(self).description }
}

extension LedgerFormat.Phase {
  /// The phase in a published ledger. It has the raw value of Fin's own.
  init(_ phase: Phase) { self = LedgerFormat.Phase(rawValue: phase.rawValue)! }
}
