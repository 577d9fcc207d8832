import Glibc
public import Testing

extension Trait where Self == ConditionTrait {
  /// A condition for suites that take minutes or slow down everything beside them: they run by a command of their own,
  /// which sets `FIN_APART`, and which `.ci/run` calls too.
  public static func apart(_ command: String) -> Self {
    .enabled(if: unsafe getenv("FIN_APART") != nil, "runs apart from the other tests: \(command)")
  }
}
