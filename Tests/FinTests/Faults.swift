import Testing

/// Marks a test that injects one or more faults of the catalogue, by number. `FaultTable` lists all faults.
struct FaultTrait: TestTrait, SuiteTrait {
  let numbers: [Int]
}

extension Trait where Self == FaultTrait {
  /// The catalogue numbers of the faults that this test injects.
  static func faults(_ numbers: Int...) -> FaultTrait { FaultTrait(numbers: numbers) }
}
