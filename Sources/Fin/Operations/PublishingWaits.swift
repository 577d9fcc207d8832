extension Core {
  /// Publishes that a wait on this socket begins or, with `nil`, that it is over.
  // [outlined slow path] Called only when the ledger is published, so that a wait costs nothing more when it is not.
  @inline(never)
  func publish(waitFor direction: Direction, until deadline: Deadline?) {
    ledger.published?.wait(record, for: direction, until: deadline)
  }
}
