internal import Synchronization

/// The bytes that pumps have moved so far, for a thread that shows them while the pumps go on. Several pumps may share
/// one meter, which then counts them together.
public final class PumpMeter: Sendable {
  private let first = Atomic<Int>(0)
  private let second = Atomic<Int>(0)

  /// Makes a meter at zero.
  public init() {}

  /// The bytes from first connections to second ones that the kernel has accepted.
  public var bytesForward: Int { first.load(ordering: .relaxed) }
  /// The bytes from second connections to first ones that the kernel has accepted.
  public var bytesBackward: Int { second.load(ordering: .relaxed) }

  func add(_ count: Int, _ side: PumpCourse.Side) {
    switch side {
    case .first: first.wrappingAdd(count, ordering: .relaxed)
    case .second: second.wrappingAdd(count, ordering: .relaxed)
    }
  }
}
