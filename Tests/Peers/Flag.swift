import Synchronization

/// A flag that one thread sets and others read.
public final class Flag: Sendable {
  private let state = Atomic(false)
  public init() {}
  public var isSet: Bool { state.load(ordering: .acquiring) }
  public func set() { state.store(true, ordering: .releasing) }
}
