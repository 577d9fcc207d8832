import Testing

@Suite("The catalogue of faults")
struct Catalogue {
  @Test("the catalogue is numbered from 1 to 66, and each fault has a test or a reason for having none")
  func complete() {
    #expect(FaultTable.rows.map(\.number) == Array(1...66))
    for row in FaultTable.rows {
      #expect(row.tests.isEmpty == (row.whyNone != nil), "fault \(row.number), \(row.fault)")
    }
  }

  @Test("the catalogue names exactly the tests that are marked with each fault's number")
  func agrees() throws {
    var marked: [Int: Set<String>] = [:]
    let attribute = /@(?:Test|Suite)\(\s*"((?:[^"\\]|\\.)*)"((?:[^()]|\([^()]*\))*)\)/
    let mark = /\.faults\(([0-9, ]+)\)/
    for file in Checkout.files where file.path.hasPrefix("Tests/Fin") && file.path.hasSuffix(".swift") {
      for test in file.text.matches(of: attribute) {
        for numbers in test.output.2.matches(of: mark) {
          for number in numbers.output.1.split(separator: ",") {
            let number = Int(number.filter(\.isNumber)) ?? 0
            marked[number, default: []].insert(String(test.output.1))
          }
        }
      }
    }
    for row in FaultTable.rows { #expect(Set(row.tests) == marked[row.number, default: []], "fault \(row.number)") }
    #expect(Set(marked.keys).isSubset(of: Set(1...66)))
  }
}
