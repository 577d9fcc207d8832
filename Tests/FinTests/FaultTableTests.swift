import TestTraits
import Testing

@Suite("The catalogue of faults", .onThreads)
struct Catalogue {
  @Test("the catalogue is numbered from 1 to 66, and each fault has a test or a reason for having none")
  func complete() {
    let marked = Self.marked
    #expect(FaultTable.rows.map(\.number) == Array(1...66))
    for row in FaultTable.rows {
      #expect((marked[row.number] == nil) == (row.whyNone != nil), "fault \(row.number), \(row.fault)")
    }
    #expect(Set(marked.keys).isSubset(of: Set(1...66)))
    #expect(marked.values.reduce(0) { $0 + $1.count } > 300, "the marks are found")
  }

  /// The names of the tests that are marked with each fault's number, from the sources.
  private static var marked: [Int: Set<String>] {
    var marked: [Int: Set<String>] = [:]
    let attribute = /@(?:Test|Suite)\(\s*"((?:[^"\\]|\\.)*)"((?:[^()]|\([^()]*\))*)\)/
    let mark = /\.faults\(([0-9, ]+)\)/
    for file in Checkout.files where file.path.hasPrefix("Tests/Fin") && file.path.hasSuffix(".swift") {
      for test in file.text.matches(of: attribute) {
        for numbers in test.output.2.matches(of: mark) {
          for number in numbers.output.1.split(separator: ",") {
            marked[Int(number.filter(\.isNumber)) ?? 0, default: []].insert(String(test.output.1))
          }
        }
      }
    }
    return marked
  }
}
