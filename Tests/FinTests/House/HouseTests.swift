import TestTraits
import Testing

@Suite("House rules", .onThreads)
struct HouseTests {
  @Test("every file of the checkout keeps the rule", arguments: HouseRule.all)
  func holds(_ rule: HouseRule) {
    let files = Checkout.files.filter { rule.covers($0.path) }
    #expect(!files.isEmpty || !rule.mustLookAtSomething, "the rule looked at no file")
    let offences = files.flatMap { rule.offences(path: $0.path, source: $0.source) }
    #expect(offences.isEmpty, "\(rule.name):\n\(offences.joined(separator: "\n"))")
  }

  @Test("flags every text that breaks the rule", arguments: HouseRule.all)
  func canFail(_ rule: HouseRule) {
    #expect(!rule.broken.isEmpty)
    for sample in rule.broken {
      #expect(!rule.offences(path: sample.path, text: sample.text).isEmpty, "not found: \(sample.text)")
    }
  }

  @Test("does not flag near misses", arguments: HouseRule.all)
  func isFair(_ rule: HouseRule) {
    #expect(!rule.sound.isEmpty)
    for sample in rule.sound {
      #expect(rule.offences(path: sample.path, text: sample.text) == [], "wrongly found: \(sample.text)")
    }
  }

  @Test("every step in the gate's comments is in the model's table")
  func stepsStandInTheModel() throws {
    let model = try #require(Checkout.files.first { $0.path == "Proof/gate.pml" }).text
    let steps = ModelSteps.listed(in: model)
    #expect(steps.isSuperset(of: ["ENTER_READ", "QUEUE", "HANDOFF", "LEAVE", "BEGIN_CLOSE", "QUIESCENT", "DESTROY"]))
    let gate = try #require(Checkout.files.first { $0.path == "Sources/Fin/Lifetime/Gate.swift" }).text
    let named = ModelSteps.named(in: gate)
    #expect(named.count > 10, "the gate names its steps")
    #expect(named.subtracting(steps) == [], "steps that the model lacks")
  }

  @Test("the steps in the registration's comments and in the model's table are the same")
  func stepsOfTheRegistration() throws {
    let model = try #require(Checkout.files.first { $0.path == "Proof/registration.pml" }).text
    let code = ["Sources/Fin/EventLoop/Registration.swift", "Sources/Fin/Operations/Operation.swift"]
    let named = Checkout.files.filter { code.contains($0.path) }.map { ModelSteps.named(in: $0.text) }
    #expect(named.count == code.count)
    #expect(named.reduce([]) { $0.union($1) } == ModelSteps.listed(in: model))
  }

  @Test("a step that the model lacks is found")
  func stepsCanBeMissing() {
    #expect(ModelSteps.listed(in: " *  LEAVE            one CAS\n *  prose\n") == ["LEAVE"])
    #expect(
      ModelSteps.named(in: "  /// LEAVE.\n  // WAKE_ALL: why\n/// A TCP word, SHUT_WR.\n") == ["LEAVE", "WAKE_ALL"])
  }

  @Test("each technique of Benchmarks/Techniques.md has its places in the sources, and each tag there is on the page")
  func techniques() throws {
    let page = try #require(Checkout.files.first { $0.path == "Benchmarks/Techniques.md" }).text
    let described = Set(page.matches(of: /\n## (\[[a-z ]+\])\n/).map { String($0.1) })
    #expect(described.count >= 4)
    let library = Checkout.files.filter { $0.path.hasPrefix("Sources/Fin/") && $0.path.hasSuffix(".swift") }
    let tags = library.flatMap { file in
      file.text.matches(of: /\/\/ (\[[a-z]+ [a-z ]+\])/).map { String($0.1) }
    }
    #expect(Set(tags) == described)
    let outlined = library.filter { $0.text.contains("@inline(never)") && !$0.text.contains("[outlined slow path]") }
    #expect(outlined.map(\.path) == [], "each file that outlines a function says why")
  }

  @Test("a finding names the file and the line")
  func namesTheLine() {
    let offences = HouseRule.noFoundation.offences(path: "Sources/Fin/A.swift", text: "// one\nimport Foundation\n")
    #expect(offences == ["Sources/Fin/A.swift:2: import Foundation"])
  }

  @Test("the checkout is the package's root: its own files, without builds and git's")
  func readsTheCheckout() {
    let paths = Checkout.files.map(\.path)
    #expect(paths.contains("Package.swift"))
    #expect(paths.contains("Tests/FinTests/House/HouseTests.swift"))
    #expect(!paths.contains { $0.hasPrefix(".build") || $0.hasPrefix(".git/") })
  }

  @Test(
    "comments and strings are not code",
    arguments: [
      ("let a = 1 // errno", "let a = 1 "),
      ("say(\"// no comment\") + b", "say(\"\") + b"),
      ("say(\"a \\\" errno\", c)", "say(\"\", c)"),
      ("say(#\"a \" errno \\\"#, c)", "say(\"\", c)"),
      ("say(\"\", c)", "say(\", c)"),
    ])
  func codeOnly(line: String, code: String) {
    #expect(SwiftText(line).code == [code])
  }

  @Test("a string of several lines is not code until it ends")
  func stringsOfSeveralLines() {
    let text = "let a = \"\"\"\n  errno \"quoted\"\n  \"\"\" + b\nerrno"
    #expect(SwiftText(text).code == ["let a = \"", "", "\" + b", "errno"])
  }
}
