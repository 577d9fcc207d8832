import Foundation
import Testing

@Suite("The example stays one: code that is read in a quarter of an hour")
struct Size {
  @Test("the server with all that it needs has 300 lines of code at most, and the client 200")
  func lines() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/HTTPExample")
    func code(_ names: String...) throws -> Int {
      try names.reduce(0) { sum, name in
        let lines = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8).split(separator: "\n")
        return sum + lines.map { $0.trimmingCharacters(in: .whitespaces) }.count { !$0.isEmpty && !$0.hasPrefix("//") }
      }
    }
    #expect(try code("Message.swift", "Body.swift", "Server.swift") <= 300)
    #expect(try code("Client.swift") <= 200)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == ["Body.swift", "Client.swift", "Message.swift", "Server.swift"])
  }
}
