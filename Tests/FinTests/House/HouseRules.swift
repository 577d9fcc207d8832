extension HouseRule {
  /// Every house rule. The order of the folders is ``Arrows``' own test.
  static let all = [
    lifecycleImportsNothing, errnoOnlyInKernel, onlyAddressCastsSockaddr, noFoundation, doctorWithoutFin, baseAboveAll,
    baseForLibraries,
    shortFiles, nothingLeftUndone, noHashes, noLingerAboveZero, noPathsOfAMachine, publicIsDocumented,
    limitInOnePlace, numbersThroughTheGate, atomicsWrap, plainWords, noEmptyDocs, shortLines,
  ]

  static let lifecycleImportsNothing = code(
    "Lifecycle imports nothing", in: ["Sources/Fin/Lifecycle/"],
    breaks: { imported(by: $0) != nil },
    broken: [
      Sample("Sources/Fin/Lifecycle/Phase.swift", "import Glibc\n"),
      Sample("Sources/Fin/Lifecycle/Phase.swift", "public import CFin\n"),
      Sample("Sources/Fin/Lifecycle/Phase.swift", "  @_exported import struct SystemPackage.Errno\n"),
    ],
    sound: [
      Sample("Sources/Fin/Lifecycle/Phase.swift", "// import Glibc\nlet important = 1\n"),
      Sample("Sources/Fin/Kernel/Syscalls.swift", "import Glibc\n"),
    ])

  static let errnoOnlyInKernel = code(
    "errno is read only in FinBase, by KernelError, and set only in Kernel, for scripted calls",
    in: ["Sources/Fin/", "Sources/FinBase/", "Sources/FinDoctor/"],
    except: ["Sources/Fin/Kernel/", "Sources/FinBase/KernelError.swift"],
    breaks: { $0.contains("errno") && $0.contains(/\b(fin_)?errno\b|\bfin_set_errno\b/) },
    broken: [
      Sample("Sources/Fin/API/Socket.swift", "let code = errno\n"),
      Sample("Sources/Fin/Address/Endpoint.swift", "let code = fin_errno() // why\n"),
      Sample("Sources/Fin/Lifetime/Gate.swift", "fin_set_errno(0)\n"),
      Sample("Sources/FinDoctor/Kernel/Syscalls.swift", "if errno == EINTR { continue }\n"),
      Sample("Sources/FinBase/Threads.swift", "let code = fin_errno()\n"),
    ],
    sound: [
      Sample("Sources/Fin/Kernel/Syscalls.swift", "let code = fin_errno()\n"),
      Sample("Sources/FinBase/KernelError.swift", "let code = fin_errno()\n"),
      Sample("Sources/Fin/API/Listener.swift", "case system(Errno) // errno\nlet text = \"errno \\\"2\\\"\"\n"),
    ])

  static let onlyAddressCastsSockaddr = code(
    "only Address casts sockaddr pointers", in: ["Sources/Fin/", "Sources/FinBase/"], except: ["Sources/Fin/Address/"],
    breaks: { line in
      guard line.contains("sockaddr") else { return false }
      // A pointer that is bound to sockaddr, or a value of one family. Passing a pointer on breaks no rule.
      return line.contains(
        /(assumingMemoryBound|bindMemory|withMemoryRebound|load|loadUnaligned)\(\s*(to|as):\s*sockaddr/)
        || line.contains(/unsafeBitCast\(.*sockaddr/) || line.contains(/\bsockaddr(_in6?|_un|_storage|_nl)?\(\)/)
        || line.replacing(/MemoryLayout<sockaddr\w*>/, with: "").contains(/\bsockaddr_(in6?|un|storage)\b/)
    },
    broken: [
      Sample(
        "Sources/Fin/Kernel/Syscalls.swift", "p.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, n) }\n"
      ),
      Sample("Sources/Fin/API/Listener.swift", "var storage = sockaddr_storage()\n"),
      Sample("Sources/Fin/Kernel/Syscalls.swift", "func f(_ p: UnsafePointer<sockaddr_in>) {}\n"),
    ],
    sound: [
      Sample(
        "Sources/Fin/Kernel/Syscalls.swift",
        "func bind(_ fd: CInt, _ p: UnsafePointer<sockaddr>, _ n: socklen_t) {}\n"),
      Sample("Sources/Fin/Kernel/Syscalls.swift", "let room = MemoryLayout<sockaddr_storage>.size\n"),
      Sample("Sources/Fin/Address/Sockaddr.swift", "var storage = sockaddr_storage()\n"),
    ])

  static let noFoundation = code(
    "no Foundation and no Dispatch in Fin", in: ["Sources/Fin/", "Sources/FinBase/"],
    breaks: { line in
      imported(by: line).map { $0.hasPrefix("Foundation") || $0 == "Dispatch" || $0 == "CDispatch" } ?? false
    },
    broken: [
      Sample("Sources/Fin/API/Socket.swift", "import Foundation\n"),
      Sample("Sources/Fin/API/Socket.swift", "internal import FoundationEssentials\n"),
      Sample("Sources/Fin/Server/Serve.swift", "import struct Foundation.Data\n"),
      Sample("Sources/Fin/Server/Serve.swift", "@preconcurrency import Dispatch\n"),
    ],
    sound: [
      Sample("Sources/Fin/API/Socket.swift", "import Glibc\npublic import SystemPackage\n"),
      Sample("Sources/FinCommand/Report.swift", "import Foundation\n"),
    ])

  static let doctorWithoutFin = code(
    "FinDoctor never imports Fin, nor Fin FinDoctor", in: ["Sources/FinDoctor/", "Sources/Fin/"],
    breaks: { imported(by: $0) == "Fin" || imported(by: $0) == "FinDoctor" },
    broken: [
      Sample("Sources/FinDoctor/Model/Census.swift", "import Fin\n"),
      Sample("Sources/FinDoctor/Model/Census.swift", "@testable import Fin\n"),
      Sample("Sources/FinDoctor/Model/Census.swift", "import enum Fin.TCPState\n"),
      Sample("Sources/Fin/Kernel/PortOwner.swift", "internal import FinDoctor\n"),
    ],
    sound: [
      Sample("Sources/FinDoctor/Model/Census.swift", "import CFin\nimport FinBase\nimport Final\n"),
      Sample("Sources/FinCommand/Lab.swift", "import Fin\nimport FinDoctor\n"),
    ])

  static let baseAboveAll = code(
    "FinBase imports no other module of the package but CFin, and declares nothing public", in: ["Sources/FinBase/"],
    breaks: { line in
      if let module = imported(by: line) { return !["CFin", "Glibc", "Synchronization"].contains(module) }
      return line.contains(/\b(public|open)\b/)
    },
    broken: [
      Sample("Sources/FinBase/Descriptor.swift", "internal import Fin\n"),
      Sample("Sources/FinBase/Descriptor.swift", "import FinDoctor\n"),
      Sample("Sources/FinBase/KernelError.swift", "public import SystemPackage\n"),
      Sample("Sources/FinBase/KernelError.swift", "public struct KernelError {}\n"),
    ],
    sound: [
      Sample("Sources/FinBase/KernelError.swift", "public import CFin\npackage struct KernelError {}\n"),
      Sample("Sources/Fin/API/Socket.swift", "public struct Socket {}\n"),
    ])

  static let baseForLibraries = code(
    "FinBase is imported by both libraries, the laboratory and the command, and not by what only prints",
    in: ["Sources/"], except: ["Sources/Fin/", "Sources/FinDoctor/", "Sources/FinLab/", "Sources/FinCommand/"],
    breaks: { imported(by: $0) == "FinBase" },
    broken: [
      Sample("Sources/FinTerminal/Output.swift", "internal import FinBase\n")
    ],
    sound: [
      Sample("Sources/Fin/Kernel/Syscalls.swift", "internal import FinBase\n"),
      Sample("Sources/FinDoctor/Model/WrittenAddress.swift", "package import FinBase\n"),
      Sample("Sources/FinCommand/Kill/KillCommand.swift", "import FinBase\nimport FinDoctor\n"),
    ])

  static let noHashes = HouseRule(
    name: "a link in a doc comment has no hash, which no reader can look up",
    covers: { $0.hasPrefix("Sources/") && $0.hasSuffix(".swift") },
    find: { source in
      guard source.mentions(")-") else { return [] }
      return source.comments.indices.filter { source.comments[$0].contains(/``[^`]*\)-[0-9a-z]{3,6}``/) }
        .map { Finding(line: $0 + 1, text: source.lines[$0]) }
    },
    broken: [Sample("Sources/Fin/A.swift", "/// See ``Connection/close(_:)-59kny``.\n")],
    sound: [
      Sample("Sources/Fin/A.swift", "/// See ``Connection/abort()`` and `close(_:)`; L1-close ``a``-``b``.\n"),
      Sample("Sources/Fin/Fin.docc/Closing.md", "``Connection/close(_:)-59kny``\n"),
    ])

  static let atomicsWrap = code(
    "an atomic counter wraps, and does not trap when it is full", in: ["Sources/Fin/"],
    breaks: { $0.contains("ordering:") && $0.contains(/\.(add|subtract)\(/) },
    broken: [
      Sample("Sources/Fin/EventLoop/Registration.swift", "let ticket = tickets.add(1, ordering: .relaxed).newValue\n"),
      Sample("Sources/Fin/Address/Lookup.swift", "taken.subtract(1, ordering: .releasing)\n"),
    ],
    sound: [
      Sample(
        "Sources/Fin/EventLoop/Registration.swift", "let turn = turns.wrappingAdd(1, ordering: .relaxed).newValue\n"),
      Sample("Sources/Fin/EventLoop/EventLoop.swift", "try poller.add(descriptor, token: registration.token)\n"),
    ])

  static let shortFiles = HouseRule(
    name: "a Swift file answers one question, in 450 lines at most",
    covers: { $0.hasSuffix(".swift") },
    find: { source in
      let count = source.lines.count - (source.lines.last == "" ? 1 : 0)
      return count > 450 ? [Finding(line: count, text: "\(count) lines")] : []
    },
    broken: [Sample("Tests/FinTests/Long.swift", String(repeating: "//\n", count: 451))],
    sound: [
      Sample("Tests/FinTests/Long.swift", String(repeating: "//\n", count: 450)),
      Sample("Proof/gate.pml", String(repeating: "\n", count: 900)),
    ])

  static let nothingLeftUndone = HouseRule(
    name: "nothing is marked as left undone",
    covers: { path in
      [".swift", ".c", ".h", ".pml", ".md", ".sh", "/run", "/check", "/snippets", "/docs"].contains {
        path.hasSuffix($0)
      }
    },
    find: { source in
      guard source.mentions("to\u{64}o", "fix\u{6D}e", "xx\u{78}") else { return [] }
      return lines(of: source) { $0.contains(/\b(TO\u{44}O|FIX\u{4D}E|X{3})\b/) }
    },
    broken: [
      Sample("Sources/Fin/Fin.swift", "// TO" + "DO: everything\n"), Sample("README.md", "FIX" + "ME\n"),
      Sample("Sources/CFin/cfin.c", "/* XX" + "X */\n"),
    ],
    sound: [Sample("Sources/Fin/Fin.swift", "let toDo = \"todo\"\n"), Sample("Proof/x.trail", "TO" + "DO\n")])

  static let noLingerAboveZero = HouseRule(
    name: "no SO_LINGER with a time above zero",
    covers: { $0.hasPrefix("Sources/") },
    find: { source in
      guard source.mentions("l_linger") else { return [] }
      return lines(of: source) { line in
        guard line.contains("l_linger") else { return false }
        // Every time that is given must be the literal 0: `l_linger: 0` in Swift, `.l_linger = 0` in C.
        return line.matches(of: /l_linger\s*[:=]\s*([^,)};\s]+)/).contains {
          $0.output.1 != "0" && $0.output.1 != "CInt"
        }
      }
    },
    broken: [
      Sample("Sources/Fin/Kernel/Options.swift", "linger(l_onoff: 1, l_linger: 5)\n"),
      Sample("Sources/Fin/Kernel/Options.swift", "linger(l_onoff: 1, l_linger: seconds)\n"),
      Sample("Sources/CFin/include/cfin.h", "struct linger l = {.l_onoff = 1, .l_linger = 2};\n"),
    ],
    sound: [
      Sample("Sources/Fin/Kernel/Options.swift", "linger(l_onoff: 1, l_linger: 0)\n"),
      Sample("Sources/CFin/include/cfin.h", "struct linger l = {.l_onoff = 1, .l_linger = 0};\n"),
    ])

  static let noPathsOfAMachine = HouseRule(
    name: "no paths of one machine",
    covers: { _ in true },
    find: { source in
      let homes = ["/wor\u{6B}/", "/roo\u{74}/"]
      guard source.mentions(homes[0], homes[1]) else { return [] }
      return lines(of: source) { line in
        // A path begins there; `Proof/work/` and `example.net/root/` go on.
        homes.contains { home in
          line.contains(home) && line.contains(/(^|[^\w.\-\/])\/(work|root)\//)
        }
      }
    },
    broken: [
      Sample("README.md", "see /wor" + "k/fin\n"), Sample(".ci/run", "cd \"/roo" + "t/fin\"\n"),
      Sample("Package.swift", "/wor" + "k/x"),
    ],
    sound: [
      Sample("README.md", "Proof/work/016 and ./work/x and https://example.net/root/\n"),
      Sample(".gitignore", "/Proof/work/\n"),
    ])

  static let publicIsDocumented = HouseRule(
    name: "every public declaration in Fin has a doc comment",
    covers: { $0.hasPrefix("Sources/Fin/") && $0.hasSuffix(".swift") },
    find: { source in
      guard source.mentions("public", "open") else { return [] }
      return source.code.indices.filter { declaresUndocumentedPublic(source, at: $0) }
        .map { Finding(line: $0 + 1, text: source.lines[$0]) }
    },
    broken: [
      Sample("Sources/Fin/A.swift", "public struct A {}\n"),
      Sample("Sources/Fin/A.swift", "// no doc comment\npublic enum A {}\n"),
      Sample("Sources/Fin/A.swift", "/// Something.\npublic struct A {\n  public let b: Int\n}\n"),
      Sample("Sources/Fin/A.swift", "/// Far away.\n\n@inlinable\npublic static func a() {}\n"),
      Sample("Sources/Fin/A.swift", "  @discardableResult public consuming func close() -> Int { 0 }\n"),
    ],
    sound: [
      Sample("Sources/Fin/A.swift", "/// A.\npublic struct A {}\n"),
      Sample("Sources/Fin/A.swift", "/// A.\n@inlinable\n@available(*, deprecated)\npublic func a() {}\n"),
      Sample("Sources/Fin/A.swift", "public import SystemPackage\nextension A: Error {}\n"),
      Sample("Sources/Fin/A.swift", "  public var description: String { \"\" }\n"),
      Sample("Sources/Fin/A.swift", "  public static func < (a: A, b: A) -> Bool { false }\n"),
    ])

  static let limitInOnePlace = code(
    "the limit of descriptors is changed in one place", in: ["Tests/"], except: ["Tests/Peers/DescriptorTable.swift"],
    breaks: { $0.contains("setrlimit") },
    broken: [
      Sample("Tests/FinTests/IO/Limits.swift", "unsafe setrlimit(CInt(RLIMIT_NOFILE.rawValue), &limit)\n"),
      Sample("Tests/Peers/Child.swift", "  let setting = setrlimit\n"),
    ],
    sound: [
      Sample("Tests/Peers/DescriptorTable.swift", "unsafe setrlimit(CInt(RLIMIT_NOFILE.rawValue), &limit)\n"),
      Sample("Tests/FinTests/IO/Limits.swift", "let text = \"setrlimit\" // setrlimit\nunsafe getrlimit(7, &limit)\n"),
    ])

  static let numbersThroughTheGate = HouseRule(
    name: "a descriptor's number comes from the access that the gate hands out, and no access is made up",
    covers: { path in
      // The files that enter the gate, close it, or keep the number: these alone name the access.
      let makers = ["Operation", "Core", "CloseOperation", "ClosingOwner"].map { "Sources/Fin/Operations/\($0).swift" }
      return path.hasPrefix("Sources/Fin/") && path.hasSuffix(".swift") && !makers.contains(path)
        && !["Lifetime", "Ledger", "Kernel"].contains { path.hasPrefix("Sources/Fin/\($0)/") }
    },
    find: { source in
      guard source.mentions("blocking", "suspending", "exclusive", "escriptor") else { return [] }
      return source.code.indices.filter { index in
        let line = source.code[index]
        guard ["blocking", "suspending", "exclusive", "escriptor"].contains(where: line.contains) else { return false }
        return line.contains(
          /\bAccess\.(blocking|suspending|exclusive)\b|[(,]\s*\.(blocking|suspending|exclusive)\s*[,)]/)
          || line.contains(/record\.descriptor|descriptorNumber/)
      }.map { Finding(line: $0 + 1, text: source.lines[$0]) }
    },
    broken: [
      Sample(
        "Sources/Fin/Operations/SendOperations.swift", "try Syscalls.shutdown(number(.blocking), CInt(SHUT_WR))\n"),
      Sample("Sources/Fin/API/Duplex.swift", "reference.core.finishSending(.exclusive)\n"),
      Sample("Sources/Fin/Server/TaskServer.swift", "try core.apply(timeouts, .suspending)\n"),
      Sample("Sources/Fin/API/Socket.swift", "let access = Access.blocking\n"),
      Sample("Sources/Fin/Server/SpareDescriptors.swift", "Syscalls.close(core.record.descriptor)\n"),
    ],
    sound: [
      Sample("Sources/Fin/Operations/SendOperations.swift", "try Syscalls.shutdown(number(access), CInt(SHUT_WR))\n"),
      Sample("Sources/Fin/Operations/Operation.swift", "let next = try attempt(&progress, .blocking)\n"),
      Sample(
        "Sources/Fin/Operations/ConnectAttempt.swift",
        "if access == .suspending, isEarly { return .blocked(.output) }\n"),
      Sample("Sources/Fin/Ledger/Ledger.swift", "try? Syscalls.cookie(record.descriptor)\n"),
    ])

  // MARK: Matching

  /// The module that this line imports: `Foundation` for `internal import struct Foundation.Data`.
  private static func imported(by line: Substring) -> Substring? {
    // Most lines do not even hold the word; asking is cheap, the expression is not.
    guard line.contains("import") else { return nil }
    return line.firstMatch(
      of:
        #/
        ^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?
        import\s+(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?(\w+)
        /#
    )?.output.1
  }

  private static func lines(of source: SwiftText, where breaks: (String) -> Bool) -> [Finding] {
    source.lines.enumerated().filter { breaks($0.element) }
      .map { Finding(line: $0.offset + 1, text: $0.element) }
  }

  /// Requirements of standard protocols, which are documented there.
  private static let witnesses = [
    "var description: String", "var debugDescription: String", "func hash(into", "init?(_ description:",
    "init(stringLiteral", "init(stringInterpolation", "init(rawValue", "init?(rawValue", "let rawValue", "var rawValue",
  ]

  private static func declaresUndocumentedPublic(_ source: SwiftText, at index: Int) -> Bool {
    let line = source.code[index]
    guard line.contains("public") || line.contains("open") else { return false }
    let words =
      #/
      ^\s*(@\w+(\([^)]*\))?\s+)*(public|open)\s+
      ((static|final|class|consuming|borrowing|mutating|nonisolated|convenience|override|indirect|isolated)\s+)*
      (struct|enum|class|actor|protocol|func|init|var|let|subscript|typealias|associatedtype|macro)\b
      /#
    guard line.contains(words) else { return false }
    if witnesses.contains(where: line.contains) || line.contains(/\bfunc\s+[<>=!~+\-]+\s*\(/) { return false }
    var above = index - 1
    while above >= 0, source.lines[above].contains(/^\s*@/) { above -= 1 }
    return above < 0 || !source.lines[above].contains(/^\s*\/\/\//)
  }
}
