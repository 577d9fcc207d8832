import Testing

/// Marks a test that injects one or more faults of the catalogue, by number. `FaultTable` lists them all.
struct FaultTrait: TestTrait, SuiteTrait {
  let numbers: [Int]
}

extension Trait where Self == FaultTrait {
  /// The numbers in the catalogue of faults that this test injects.
  static func faults(_ numbers: Int...) -> FaultTrait { FaultTrait(numbers: numbers) }
}
