import Glibc
import Peers
import TestTraits
import Testing

/// Each program in `Tests/Misuse` demonstrates one misuse. The program compiles as it stands. `-D MISUSE` adds the
/// misuse and nothing else; the compiler must then reject it with the message that the line above the misuse predicts:
/// `// expect-error: …`.
@Suite("Promise 6: what the compiler can see does not compile", .onThreads)
struct Misuse {
  /// Paths relative to the package root.
  static let programs = Checkout.files.map(\.path).filter { $0.hasPrefix("Tests/Misuse/") && $0.hasSuffix(".swift") }

  @Test("the programs that demonstrate misuse are found")
  func found() { #expect(Misuse.programs.count >= 14) }

  @Test("without their misuse, all of these programs compile", .needsProgram("swiftc"))
  func twins() throws {
    let said = try compile(Misuse.programs, misused: false)
    #expect(said == "", "\(said)")
  }

  @Test(
    "with its misuse, no program compiles, and the compiler names the misuse", .faults(7, 16), .needsProgram("swiftc"),
    arguments: programs)
  func misuse(_ path: String) throws {
    let text = try #require(Checkout.files.first { $0.path == path }).text
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let index = try #require(lines.firstIndex { $0.contains("// expect-error: ") }, "it does not say what is wrong")
    let expected = lines[index].drop { $0 != ":" }.dropFirst(2)
    let said = try compile([path], misused: true)
    let errors = said.split(separator: "\n").filter { $0.contains(": error: ") }
    // The error must be on the line below the mark. The column is left to the compiler.
    let wanted = try Regex("/\(path):\(index + 2):[0-9]+: error: ")
    #expect(errors.count == 1, "\(said)")
    #expect(errors.first.map { $0.contains(wanted) && $0.hasSuffix(": error: \(expected)") } == true, "\(said)")
  }

  /// Runs the compiler up to its ownership checks, which follow the type checks.
  ///
  /// - Returns: the compiler's output.
  private func compile(_ paths: [String], misused: Bool) throws -> String {
    let build = try #require(Misuse.buildFolder)
    var arguments = [
      "-swift-version", "6", "-parse-as-library", "-emit-sil", "-o", "/dev/null", "-wmo", "-diagnostic-style", "llvm",
      "-module-name", "Misuse", "-I", "\(build)/Modules",
    ]
    // The C modules that Fin's own module imports.
    for map in [
      "\(build)/CFin.build/module.modulemap",
      "\(build)/../../checkouts/swift-system/Sources/CSystem/include/module.modulemap",
    ] {
      arguments += ["-Xcc", "-fmodule-map-file=\(map)"]
    }
    if misused { arguments += ["-D", "MISUSE"] }
    arguments += paths.map { "\(Checkout.root)/\($0)" }
    let shell = ["-c", "exec \"$@\" 2>&1", "sh", try #require(Programs.find("swiftc"))] + arguments
    return try withChild("/bin/sh", shell) { compiler in
      let said = try compiler.readToEnd(within: .seconds(120))
      let exit = try compiler.wait()
      #expect((exit == .exited(0)) != misused, "\(exit): \(said)")
      return said
    }
  }

  /// The folder that this test was built in, with the library under test.
  static var buildFolder: String? {
    var path = [UInt8](repeating: 0, count: 4096)
    let count = unsafe path.withUnsafeMutableBytes {
      unsafe readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    guard count > 0 else { return nil }
    let program = String(decoding: path.prefix(count), as: UTF8.self)
    return program.lastIndex(of: "/").map { String(program[..<$0]) }
  }
}
