import Glibc
import Peers
import Testing

/// `Tests/Misuse` holds a program for each misuse: as it stands it compiles; with `-D MISUSE`, which adds the misuse and
/// nothing else, it must not, and the compiler must say what the line above says it will: `// expect-error: …`.
@Suite("Promise 6: what the compiler can see does not compile")
struct Misuse {
  /// Paths from the package's root.
  static let programs = Checkout.files.map(\.path).filter { $0.hasPrefix("Tests/Misuse/") && $0.hasSuffix(".swift") }

  @Test("the programs are there")
  func found() { #expect(Misuse.programs.count >= 14) }

  @Test("without their misuse, all of them compile", .needsProgram("swiftc"))
  func twins() throws {
    let said = try compile(Misuse.programs, misused: false)
    #expect(said == "", "\(said)")
  }

  @Test(
    "with it, none does, and the compiler names the misuse", .faults(7, 16), .needsProgram("swiftc"),
    arguments: programs)
  func misuse(_ path: String) throws {
    let text = try #require(Checkout.files.first { $0.path == path }).text
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let index = try #require(lines.firstIndex { $0.contains("// expect-error: ") }, "it does not say what is wrong")
    let expected = lines[index].drop { $0 != ":" }.dropFirst(2)
    let said = try compile([path], misused: true)
    let errors = said.split(separator: "\n").filter { $0.contains(": error: ") }
    // The line below the mark; the column is the compiler's affair.
    let wanted = try Regex("/\(path):\(index + 2):[0-9]+: error: ")
    #expect(errors.count == 1, "\(said)")
    #expect(errors.first.map { $0.contains(wanted) && $0.hasSuffix(": error: \(expected)") } == true, "\(said)")
  }

  /// Runs the compiler as far as its checks of ownership, which come after those of types.
  ///
  /// - Returns: what it said.
  private func compile(_ paths: [String], misused: Bool) throws -> String {
    let build = try #require(Misuse.buildFolder)
    var arguments = [
      "-swift-version", "6", "-parse-as-library", "-emit-sil", "-o", "/dev/null", "-wmo", "-diagnostic-style", "llvm",
      "-module-name", "Misuse", "-I", "\(build)/Modules",
    ]
    // The modules of C that Fin's own module names.
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

  /// Where this test was built, and with it the library that it tests.
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
