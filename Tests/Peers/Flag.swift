import Synchronization

/// Something that has happened, told to other threads.
public final class Flag: Sendable {
  private let state = Atomic(false)
  public init() {}
  public var isSet: Bool { state.load(ordering: .acquiring) }
  public func set() { state.store(true, ordering: .releasing) }
}
